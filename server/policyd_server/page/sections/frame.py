"""What surrounds every handler of the page: the session, who may look, and errors as pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from policyd.errors import PolicydError, Unauthenticated
from policyd_server.http import errors
from policyd_server.http.gateway import Gateway
from policyd_server.page import session
from policyd_server.page.rendering import respond

Handler = Callable[[Request], Awaitable[Response]]
SIGN_IN = "/page/sign-in"


class Number(Convertor[int]):
    """A number in a path, `{name:number}`, of at most as many digits as a message can hold."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        """Returns the number."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Returns the digits."""
        return str(value)


register_url_convertor("number", Number())


def shown(gateway: Gateway, handler: Handler) -> Handler:
    """Returns a handler that answers with pages, also for errors.

    A caller without valid credentials is asked for a token.
    """

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
    """Returns a handler that answers a script. Errors are JSON."""

    async def run(request: Request) -> Response:
        session.adopt(request)
        gateway.access.caller(request)  # raises Unauthenticated
        return await handler(request)

    return run


def see_other(path: str) -> Response:
    """Redirects the browser to another page of ours after a change."""
    return RedirectResponse(path, 303, {"cache-control": "no-store"})


def _to_sign_in(request: Request) -> Response:
    back = request.url.path if request.method == "GET" else "/page"
    return see_other(f"{SIGN_IN}?next={quote(back)}")


def own_path(path: str) -> str:
    """Returns the path if it belongs to this page, otherwise the path of the first page."""
    is_own = path.startswith("/page") and path.isprintable() and path.isascii() and "\\" not in path
    return path if is_own else "/page"
