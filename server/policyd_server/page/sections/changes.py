"""Promoting a version, and rolling an alias back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute

from policy_api.v1 import policy_pb2
from policyd_server.page import methods
from policyd_server.page.asking import Services
from policyd_server.page.sections.forms import (
    ACTOR,
    CHAMPION,
    ChangeForm,
    Fields,
    generation_of,
    reason_of,
)


def routes(services: Services) -> Sequence[BaseRoute]:
    """Returns the routes of the two forms."""
    forms = _promotion(services), _rollback(services)
    return [route for form in forms for route in form.routes(services.gateway)]


def _promotion(services: Services) -> ChangeForm:
    async def values(request: Request, fields: Fields) -> dict[str, Any]:
        policy = await services.policy(request, request.path_params["policy"])
        return {
            "policy": policy.name,
            "version": request.path_params["version"],
            "generation": policy.generation,
            "named": {alias.name: alias.version for alias in policy.aliases},
            "alias": fields.get("alias", CHAMPION),
        }

    async def promote(request: Request, fields: Fields) -> str:
        policy = request.path_params["policy"]
        message = policy_pb2.SetAliasRequest(
            policy=policy,
            version=request.path_params["version"],
            alias=fields.get("alias", ""),
            expected_generation=generation_of(fields),
            actor=ACTOR,
            reason=reason_of(fields),
        )
        await services.gateway.calls.unary(request, methods.SET_ALIAS, message)
        return f"/page/versions/{policy}"

    place = "/page/versions/{policy}/{version:number}/promote"
    return ChangeForm(place, "versions", "promote.html", values, promote)


def _rollback(services: Services) -> ChangeForm:
    async def values(request: Request, fields: Fields) -> dict[str, Any]:  # noqa: ARG001
        policy = await services.policy(request, request.path_params["policy"])
        alias = request.path_params["alias"]
        found = [each for each in policy.aliases if each.name == alias]
        return {
            "policy": policy.name,
            "alias": alias,
            "generation": policy.generation,
            "version": found[0].version if found else 0,
            "history": list(reversed(found[0].history)) if found else [],
        }

    async def roll_back(request: Request, fields: Fields) -> str:
        policy = request.path_params["policy"]
        message = policy_pb2.RollbackAliasRequest(
            policy=policy,
            alias=request.path_params["alias"],
            expected_generation=generation_of(fields),
            actor=ACTOR,
            reason=reason_of(fields),
        )
        await services.gateway.calls.unary(request, methods.ROLLBACK_ALIAS, message)
        return f"/page/versions/{policy}"

    place = "/page/versions/{policy}/roll-back/{alias}"
    return ChangeForm(place, "versions", "roll_back.html", values, roll_back)
