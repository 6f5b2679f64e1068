"""A form that says what will change and asks why; sent, it makes one call of a service."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from policyd.errors import InvalidArgument, PolicydError, Unauthenticated
from policyd_server.http import errors
from policyd_server.http.gateway import Gateway
from policyd_server.page import rendering, session
from policyd_server.page.sections.frame import see_other, shown

ACTOR = "somebody at the page"  # without roles nobody knows who
CHAMPION = "champion"
Fields = Mapping[str, str]  # what a form holds


@dataclass(frozen=True)
class ChangeForm:
    """Shown by GET, done by POST; what is refused shows it again, as it was filled in."""

    place: str  # its path
    section: str  # of the page
    template: str
    values: Callable[[Request, Fields], Awaitable[dict[str, Any]]]  # that the template shows
    change: Callable[[Request, Fields], Awaitable[str]]  # makes the call; returns the next page's path

    def routes(self, gateway: Gateway) -> Sequence[BaseRoute]:
        """The form and what it does."""

        async def ask(request: Request) -> Response:
            return await self._show(gateway, request, {})

        async def do(request: Request) -> Response:
            fields = await session.form(request)
            try:
                return see_other(await self.change(request, fields))
            except Unauthenticated:
                raise
            except PolicydError as error:
                status = errors.status_of(error)
                return await self._show(gateway, request, fields, status=status, problem=error.message)

        return [
            Route(self.place, shown(gateway, ask), methods=["GET"]),
            Route(self.place, shown(gateway, do), methods=["POST"]),
        ]

    async def _show(
        self, gateway: Gateway, request: Request, fields: Fields, *, status: int = 200, problem: str = ""
    ) -> Response:
        values = {"reason": fields.get("reason", ""), "problem": problem}
        values |= await self.values(request, fields)
        return rendering.respond(
            gateway, request, self.template, status=status, section=self.section, **values
        )


def reason_of(fields: Fields) -> str:
    """The reason. InvalidArgument: there is none."""
    reason = fields.get("reason", "").strip()
    if not reason:
        raise InvalidArgument.of("reason", got="nothing", wanted="a sentence that says why")
    return reason


def generation_of(fields: Fields) -> int:
    """The generation that the form showed. InvalidArgument: it is no number."""
    return _number(fields, "generation", "the number that the form had")


def version_of(fields: Fields) -> int:
    """The version that was chosen. InvalidArgument: it is no number."""
    return _number(fields, "version", "the number of a version")


def share_of(fields: Fields, name: str) -> float:
    """A share from the per cent of a form. InvalidArgument: it is no number."""
    text = fields.get(name, "").strip()
    try:
        per_cent = float(text)
    except ValueError:
        per_cent = math.nan
    if not 0 < per_cent <= 100:
        raise InvalidArgument.of(name, got=repr(text[:40]), wanted="per cent above 0, at most 100")
    return per_cent / 100


def _number(fields: Fields, name: str, wanted: str) -> int:
    text = fields.get(name, "")
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise InvalidArgument.of(name, got=repr(text[:40]), wanted=wanted)
    return int(text)
