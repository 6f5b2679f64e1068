"""Refuses what a browser sends on behalf of another web site.

If no callers are configured, the server trusts everyone who can reach its port. A browser on this
machine can reach it too, and runs pages of strangers. So a request that changes something must not
come from another site. A server that listens on loopback answers only to the names of this machine,
because a stranger's name may resolve to 127.0.0.1.
"""

from __future__ import annotations

from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from policyd.errors import InvalidArgument, PermissionDenied, PolicydError
from policyd.quoting import shown
from policyd.runtime import listen_address
from policyd_server.http import errors

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class SameSite:
    """The check that each request passes before it is routed."""

    def __init__(self, app: ASGIApp, *, loopback: bool) -> None:
        """`loopback`: whether the server listens on loopback only."""
        self._app = app
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 403, or 400 for a foreign host. Otherwise lets the request through."""
        try:
            if scope["type"] == "http":
                check(scope["method"], Headers(scope=scope), loopback=self._loopback)
        except PolicydError as error:
            await errors.response(error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def check(method: str, headers: Headers, *, loopback: bool) -> None:
    """Raises PermissionDenied for a foreign site, InvalidArgument for a foreign host."""
    host = headers.get("host", "")
    if loopback and not _is_this_machine(host):
        raise InvalidArgument.of("Host", got=repr(host), wanted="localhost or a loopback address")
    if method in _SAFE:
        return
    origin = headers.get("origin")
    foreign = origin is not None and origin.partition("://")[2] != host
    if foreign or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        message = f"the request comes from another web site ({shown(origin or 'a browser')})"
        raise PermissionDenied(message, reason="CROSS_SITE")


@lru_cache(maxsize=64)  # a client sends the same value each time
def _is_this_machine(host: str) -> bool:
    with_port = host if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else f"{host}:0"
    try:
        return listen_address.is_loopback(with_port)
    except InvalidArgument:
        return False
