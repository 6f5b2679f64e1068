"""Promoting and rolling back: a form that says what will change and asks why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from policy_api.v1 import policy_pb2
from policyd.errors import InvalidArgument, PolicydError, Unauthenticated
from policyd_server.http import errors
from policyd_server.page import methods, rendering, session
from policyd_server.page.asking import Services
from policyd_server.page.sections.frame import see_other, shown

CHAMPION = "champion"
ACTOR = "somebody at the page"  # without roles nobody knows who


def routes(services: Services) -> Sequence[BaseRoute]:
    """The two forms and what they do."""
    return [*_promoting(services), *_rolling_back(services)]


def _promoting(services: Services) -> Sequence[BaseRoute]:
    gateway = services.gateway

    async def promotion(
        request: Request, fields: Mapping[str, str], *, status: int = 200, problem: str = ""
    ) -> Response:
        version = request.path_params["version"]
        policy = await services.policy(request, request.path_params["policy"])
        values: dict[str, Any] = {
            "policy": policy.name,
            "version": version,
            "generation": policy.generation,
            "named": {alias.name: alias.version for alias in policy.aliases},
            "alias": fields.get("alias", CHAMPION),
            "reason": fields.get("reason", ""),
            "problem": problem,
        }
        return rendering.respond(
            gateway, request, "promote.html", status=status, section="versions", **values
        )

    async def ask_promotion(request: Request) -> Response:
        return await promotion(request, {})

    async def promote(request: Request) -> Response:
        fields = await session.form(request)
        policy, version = request.path_params["policy"], request.path_params["version"]
        try:
            message = policy_pb2.SetAliasRequest(
                policy=policy,
                version=version,
                alias=fields.get("alias", ""),
                expected_generation=generation_of(fields),
                actor=ACTOR,
                reason=reason_of(fields),
            )
            await gateway.calls.unary(request, methods.SET_ALIAS, message)
        except Unauthenticated:
            raise
        except PolicydError as error:
            return await promotion(request, fields, status=errors.status_of(error), problem=error.message)
        return see_other(f"/page/versions/{policy}")

    place = "/page/versions/{policy}/{version:int}/promote"
    return [
        Route(place, shown(gateway, ask_promotion), methods=["GET"]),
        Route(place, shown(gateway, promote), methods=["POST"]),
    ]


def _rolling_back(services: Services) -> Sequence[BaseRoute]:
    gateway = services.gateway

    async def rollback(
        request: Request, fields: Mapping[str, str], *, status: int = 200, problem: str = ""
    ) -> Response:
        policy = await services.policy(request, request.path_params["policy"])
        alias = request.path_params["alias"]
        found = [each for each in policy.aliases if each.name == alias]
        values: dict[str, Any] = {
            "policy": policy.name,
            "alias": alias,
            "generation": policy.generation,
            "version": found[0].version if found else 0,
            "history": list(reversed(found[0].history)) if found else [],
            "reason": fields.get("reason", ""),
            "problem": problem,
        }
        return rendering.respond(
            gateway, request, "roll_back.html", status=status, section="versions", **values
        )

    async def ask_rollback(request: Request) -> Response:
        return await rollback(request, {})

    async def roll_back(request: Request) -> Response:
        fields = await session.form(request)
        policy, alias = request.path_params["policy"], request.path_params["alias"]
        try:
            message = policy_pb2.RollbackAliasRequest(
                policy=policy,
                alias=alias,
                expected_generation=generation_of(fields),
                actor=ACTOR,
                reason=reason_of(fields),
            )
            await gateway.calls.unary(request, methods.ROLLBACK_ALIAS, message)
        except Unauthenticated:
            raise
        except PolicydError as error:
            return await rollback(request, fields, status=errors.status_of(error), problem=error.message)
        return see_other(f"/page/versions/{policy}")

    place = "/page/versions/{policy}/roll-back/{alias}"
    return [
        Route(place, shown(gateway, ask_rollback), methods=["GET"]),
        Route(place, shown(gateway, roll_back), methods=["POST"]),
    ]


def reason_of(fields: Mapping[str, str]) -> str:
    """The reason. InvalidArgument: there is none."""
    reason = fields.get("reason", "").strip()
    if not reason:
        raise InvalidArgument.of("reason", got="nothing", wanted="a sentence that says why")
    return reason


def generation_of(fields: Mapping[str, str]) -> int:
    """The generation that the form showed. InvalidArgument: it is no number."""
    text = fields.get("generation", "")
    if not text.isdecimal() or len(text) > 18:
        raise InvalidArgument.of("generation", got=repr(text[:40]), wanted="the number that the form had")
    return int(text)
