"""Who looks at the page: a token in a cookie that scripts cannot read, one against forged forms.

The token is entered once. The cookie holds it, so that a session outlives a restart of the server
and works on every replica. Every request is checked against the file of callers, as by gRPC.
A form carries the value of the second cookie, which another web site can neither read nor set.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from policyd.errors import InvalidArgument, PermissionDenied
from policyd_server.http import bodies

TOKEN, FORGERY = "policyd_token", "policyd_csrf"  # names of the cookies
FIELD = "csrf"
PATH = "/page"
MAX_FORM_BYTES = 1024 * 1024
MAX_FIELDS = 200
MAX_TOKEN = 4096


def adopt(request: Request) -> None:
    """Uses the token in the cookie as the caller's credentials."""
    token = request.cookies.get(TOKEN)
    if token and token.isascii() and token.isprintable() and len(token) <= MAX_TOKEN:
        request.state.authorization = f"Bearer {token}"


def keep(request: Request, response: Response, token: str) -> None:
    """Stores the token in the cookie."""
    _set(request, response, TOKEN, token)


def forget(response: Response) -> None:
    """Deletes the cookie with the token."""
    response.delete_cookie(TOKEN, path=PATH, httponly=True, samesite="strict")


def form_token(request: Request) -> str:
    """Returns the value that this page's forms contain. A browser without one gets a new one."""
    known: str | None = getattr(request.state, "form_token", None)
    if known is None:
        known = request.cookies.get(FORGERY) or secrets.token_urlsafe(32)
        request.state.form_token = known
    return known


def set_form_token(request: Request, response: Response) -> None:
    """Sets the cookie that the forms are compared with."""
    if FORGERY not in request.cookies:
        _set(request, response, FORGERY, form_token(request))


async def form(request: Request) -> Mapping[str, str]:
    """Returns the fields of a form of this page.

    Raises:
        PermissionDenied: the form does not come from this page.
        InvalidArgument: it is not a form.
    """
    text = await bodies.read(request, MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise InvalidArgument.of("body", got="no form", wanted="fields of a form") from None
    fields = dict(pairs)
    cookie = request.cookies.get(FORGERY, "")
    if not cookie or not hmac.compare_digest(cookie.encode(), fields.get(FIELD, "").encode()):
        message = "the form is not of this page, or its cookie is gone: load the page again"
        raise PermissionDenied(message, reason="FORGED_FORM")
    return fields


def _set(request: Request, response: Response, name: str, value: str) -> None:
    response.set_cookie(
        name, value, path=PATH, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
