"""Hot routes: from a request's bytes to a message, and from the answer to a response.

The same code serves the short way (`quick.py`) and the long one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from policyd_server.http import bodies
from policyd_server.http.calls import Method
from policyd_server.http.compression import compressed
from policyd_server.http.gateway import Gateway


class HotEndpoint(ABC):
    """An endpoint that programs call many times per second."""

    def __init__(self, gateway: Gateway, method: Method) -> None:
        self.gateway = gateway
        self.method = method

    @property
    @abstractmethod
    def limit(self) -> int:
        """The largest body, in bytes."""

    @abstractmethod
    def decode(self, names: Mapping[str, str], headers: Headers, body: bytes) -> Any:
        """Returns what is asked. Its attribute `message` is sent to the worker.

        `names`: the names in the path. Raises InvalidArgument if a field is wrong.
        """

    @abstractmethod
    def encode(self, asked: Any, answer: Any) -> Response:
        """Returns the response for what `decode` has returned."""

    async def handle(self, request: Request) -> Response:
        """Handles a request that Starlette has routed, which is the slow way."""
        body = await bodies.read(request, self.limit)
        asked = self.decode(request.path_params, request.headers, body)
        answer = await self.gateway.calls.unary(request, self.method, asked.message)
        return compressed(request.headers, self.encode(asked, answer))


def hot_endpoint(endpoint: object) -> HotEndpoint | None:
    """Returns the hot endpoint behind a route. None: it is not hot."""
    found = getattr(endpoint, "__self__", None)
    return found if isinstance(found, HotEndpoint) else None
