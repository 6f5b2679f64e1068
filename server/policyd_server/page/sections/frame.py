"""What surrounds every handler of the page: the session, who may look, and errors as pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from policyd.errors import PolicydError, Unauthenticated
from policyd_server.http import errors
from policyd_server.http.gateway import Gateway
from policyd_server.page import session
from policyd_server.page.rendering import respond

Handler = Callable[[Request], Awaitable[Response]]
SIGN_IN = "/page/sign-in"


def shown(gateway: Gateway, handler: Handler) -> Handler:
    """A handler that answers with pages: strangers are asked for a token, errors are pages."""

    async def run(request: Request) -> Response:
        session.adopt(request)
        try:
            if gateway.access.is_anonymous(request):
                return _to_sign_in(request)
            return await handler(request)
        except Unauthenticated:
            return _to_sign_in(request)
        except PolicydError as error:
            return respond(gateway, request, "error.html", status=errors.status_of(error), error=error)

    return run


def live(gateway: Gateway, handler: Handler) -> Handler:
    """A handler that answers a script: errors are JSON."""

    async def run(request: Request) -> Response:
        session.adopt(request)
        gateway.access.caller(request)  # Unauthenticated
        return await handler(request)

    return run


def see_other(path: str) -> Response:
    """Sends the browser to another page of ours after a change."""
    return RedirectResponse(path, 303, {"cache-control": "no-store"})


def _to_sign_in(request: Request) -> Response:
    back = request.url.path if request.method == "GET" else "/page"
    return see_other(f"{SIGN_IN}?next={quote(back)}")


def own_path(path: str) -> str:
    """The path if it is one of this page, else the first page."""
    is_own = path.startswith("/page") and path.isprintable() and path.isascii() and "\\" not in path
    return path if is_own else "/page"
