"""The short way to the routes that programs call many times per second.

A small request of these is answered by the connection's protocol itself. ASGI, Starlette's layers
and the patterns of some sixty routes cost several times what such a request costs. A large one,
or one that comes while another is answered on its connection, goes the long way to the same
handler.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Scope

from policyd.errors import PolicydError
from policyd.runtime import log, request_ids
from policyd_server.http import errors, same_site
from policyd_server.http.admission import Admission, Share
from policyd_server.http.endpoints import hot_endpoint
from policyd_server.http.quick import KnownHeaders

PATHS = (
    "/v1/policies/{policy}:act",
    "/v2/models/{model}/infer",
    "/v2/models/{model}/versions/{version}/infer",
)
ENDINGS = (b":act", b"/infer")  # how the targets of hot routes end
MAX_BODY_BYTES = 256 * 1024  # a larger body is read in parts
NO_SNIFFING = (b"x-content-type-options", b"nosniff")

_LOG = logging.getLogger(__name__)
_REQUEST_ID = request_ids.KEY.encode()


class HotRoutes:
    """The hot routes, and what surrounds their handlers."""

    def __init__(self, routes: Sequence[BaseRoute], admission: Admission, *, loopback: bool) -> None:
        """`loopback`: the server listens on loopback only."""
        self._admission = admission
        self._hot = [route for route in routes if isinstance(route, Route) and route.path in PATHS]
        self._loopback = loopback

    def find(self, path: str) -> tuple[Route, dict[str, Any]] | None:
        """Returns the route of a path, and the names in the path. None: the path is not hot."""
        for route in self._hot:
            if (match := route.path_regex.match(path)) is not None:
                return route, match.groupdict()
        return None

    def share(self, scope: Scope, size: int) -> Share | None:
        """Returns the share of a request with a body of this size. None: it is refused."""
        share = Share(self._admission)
        try:
            share.take(Request(scope), size)
        except PolicydError:
            return None
        return share

    async def answer(self, route: Route, scope: Scope, body: bytes) -> Response:
        """Returns the response to a request whose whole body has arrived. It never raises."""

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        request = Request(scope, receive)
        share = scope["state"]["share"] = Share(self._admission)
        log.request_id.set(request_ids.accepted(request.headers.get(request_ids.KEY, "")))
        try:
            same_site.check("POST", request.headers, loopback=self._loopback)
            response: Response = await route.endpoint(request)
        except PolicydError as error:
            response = errors.response(error)
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing that a client sends may end the process
            told = log.unexpected(_LOG, f"unexpected error in POST {scope['path']!r}", error)
            response = errors.response(told)
        finally:
            share.release()
        surround(response)
        return response

    def learn(self, heads: KnownHeaders, data: bytes, route: Route, scope: Scope) -> None:
        """Remembers the headers of an allowed request, of which `data` is the whole."""
        endpoint = hot_endpoint(route.endpoint)
        if endpoint is None:
            return
        try:
            same_site.check("POST", Headers(scope=scope), loopback=self._loopback)
        except PolicydError:
            return
        heads.learn(data, endpoint, scope)


def surround(response: Response) -> None:
    """Adds the headers that every response has."""
    response.raw_headers += [(_REQUEST_ID, log.request_id.get().encode()), NO_SNIFFING]


class HotRequest:
    """A hot request that is being read or answered, in the place of uvicorn's own object."""

    def __init__(self, route: Route | None, *, keep_alive: bool) -> None:
        """`route`: None if the endpoint is called without the router."""
        self.route = route
        self.share: Share | None = None  # of the bytes that all requests may hold
        self.keep_alive = keep_alive
        self.body = bytearray()
        self.more_body = True
        self.response_complete = self.disconnected = False
        self.message_event = asyncio.Event()

    def release(self) -> None:
        """Called when the request's body is needed no more."""
        if self.share is not None:
            self.share.release()
