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

ACTOR = "somebody at the page"  # without roles the user's name is not known
CHAMPION = "champion"
MAX_DIGITS = 20  # of a number below 2^64
Fields = Mapping[str, str]  # the fields of a form, by name


@dataclass(frozen=True)
class ChangeForm:
    """A form that GET shows and POST carries out.

    After an error it is shown again with the same values.
    """

    place: str  # the form's path
    section: str  # the section of the page that it belongs to
    template: str
    # returns the values that the template shows
    values: Callable[[Request, Fields], Awaitable[dict[str, Any]]]
    change: Callable[[Request, Fields], Awaitable[str]]  # makes the call; returns the path of the next page

    def routes(self, gateway: Gateway) -> Sequence[BaseRoute]:
        """Returns the routes of the form."""

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
    """Returns the reason. InvalidArgument: there is none."""
    reason = fields.get("reason", "").strip()
    if not reason:
        raise InvalidArgument.of("reason", got="nothing", wanted="a sentence that says why")
    return reason


def generation_of(fields: Fields) -> int:
    """Returns the generation that the form showed. InvalidArgument: it is not a number."""
    return _number(fields, "generation", "the number that the form had")


def version_of(fields: Fields) -> int:
    """Returns the chosen version. InvalidArgument: it is not a number."""
    return _number(fields, "version", "the number of a version")


def share_of(fields: Fields, name: str) -> float:
    """Returns a share from a field in per cent. InvalidArgument: it is not a number."""
    text = fields.get(name, "").strip()
    try:
        per_cent = float(text)
    except ValueError:
        per_cent = math.nan
    if not 0 < per_cent <= 100:
        raise InvalidArgument.of(name, got=repr(text[:40]), wanted="per cent above 0, at most 100")
    return per_cent / 100


def whole(text: str, name: str, wanted: str, *, below: int = 2**63) -> int:
    """Returns the whole number in a field. InvalidArgument: it is none, or not below `below`."""
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS and int(text) < below):
        raise InvalidArgument.of(name, got=repr(text[:40]), wanted=wanted)
    return int(text)


def _number(fields: Fields, name: str, wanted: str) -> int:
    return whole(fields.get(name, ""), name, wanted)
