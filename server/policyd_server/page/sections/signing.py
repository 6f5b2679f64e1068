"""Signing in with a token, and out."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from policyd.errors import PolicydError
from policyd_server.http import errors
from policyd_server.http.gateway import Gateway
from policyd_server.page import session
from policyd_server.page.rendering import respond
from policyd_server.page.sections.frame import SIGN_IN, own_path, see_other


def routes(gateway: Gateway) -> Sequence[BaseRoute]:
    """Returns the routes for signing in and out."""

    def page(request: Request, back: str, *, status: int = 200, problem: str = "") -> Response:
        return respond(
            gateway, request, "sign_in.html", status=status, section="", back=back, problem=problem
        )

    async def ask(request: Request) -> Response:
        return page(request, own_path(request.query_params.get("next", "/page")))

    async def enter(request: Request) -> Response:
        back = "/page"
        try:
            fields = await session.form(request)
            back = own_path(fields.get("next", "/page"))
            token = fields.get("token", "").strip()
            request.state.authorization = f"Bearer {token}"
            gateway.access.caller(request)
        except PolicydError as error:
            request.state.authorization = ""
            return page(request, back, status=errors.status_of(error), problem=error.message)
        response = see_other(back)
        session.keep(request, response, token)
        return response

    async def leave(request: Request) -> Response:
        await session.form(request)
        response = see_other(SIGN_IN)
        session.forget(response)
        return response

    return [
        Route(SIGN_IN, ask, methods=["GET"]),
        Route(SIGN_IN, enter, methods=["POST"]),
        Route("/page/sign-out", leave, methods=["POST"]),
    ]
