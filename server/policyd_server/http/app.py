"""The ASGI application: groups of routes inside what surrounds every request."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from policyd.errors import PolicydError
from policyd.runtime import listen_address, log, request_ids
from policyd_server.http import errors
from policyd_server.http.admission import Admission, Share
from policyd_server.http.gateway import Gateway, Group
from policyd_server.http.hot import NO_SNIFFING, HotRoutes
from policyd_server.http.same_site import SameSite

_LOG = logging.getLogger(__name__)


def application(gateway: Gateway, groups: Sequence[Group], address: str) -> tuple[Starlette, HotRoutes]:
    """Returns the application of all groups, and its hot routes. `address`: where it listens."""
    routes = [route for group in groups for route in group(gateway)]
    loopback = listen_address.is_loopback(address)
    admission = Admission(gateway.access)
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Boundary, admission=admission),
            Middleware(SameSite, loopback=loopback),
        ],
        exception_handlers={PolicydError: _domain_error, HTTPException: _no_route},
    )
    return app, HotRoutes(routes, admission, loopback=loopback)


class Boundary:
    """Gives each request its id and its share of the bytes that all may hold.

    It logs unexpected errors, whose text the client must not see.
    """

    def __init__(self, app: ASGIApp, *, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(request_ids.KEY.encode(), b"").decode("latin-1")
        log.request_id.set(request_ids.accepted(given))
        started = False
        share = scope["state"]["share"] = Share(self._admission)

        async def note_start(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                own = (request_ids.KEY.encode(), log.request_id.get().encode())
                message["headers"] = [*message["headers"], own, NO_SNIFFING]
            await send(message)

        try:
            await self._app(scope, receive, note_start)
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing that a client sends may end the process
            told = log.unexpected(_LOG, f"unexpected error in {scope['method']} {scope['path']!r}", error)
            if started:
                scope["state"]["abort"]()
            else:
                await errors.response(told)(scope, receive, note_start)
        finally:
            share.release()


async def _domain_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, PolicydError)
    return errors.response(error)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return errors.of_http(error, request.method, request.url.path)
