"""Starting and ending a shadow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute

from policy_api.v1 import traffic_pb2 as pb
from policyd.repository.traffic import shadow_of
from policyd_server.page import methods
from policyd_server.page.asking import Services
from policyd_server.page.sections.forms import (
    ACTOR,
    CHAMPION,
    ChangeForm,
    Fields,
    generation_of,
    reason_of,
    share_of,
    version_of,
)


def routes(services: Services) -> Sequence[BaseRoute]:
    """Returns the routes of the two forms."""
    forms = _start(services), _end(services)
    return [route for form in forms for route in form.routes(services.gateway)]


def _start(services: Services) -> ChangeForm:
    async def values(request: Request, fields: Fields) -> dict[str, Any]:
        policy = await services.policy(request, request.path_params["policy"])
        return {
            "policy": policy.name,
            "generation": (await services.traffic(request, policy.name)).generation,
            "versions": [v.version for v in reversed(policy.versions) if not v.damage],
            "fields": {"alias": CHAMPION, "version": "", "share": "10", **fields},
        }

    async def start(request: Request, fields: Fields) -> str:
        alias, version = fields.get("alias", ""), version_of(fields)
        return await _set(services, request, fields, alias, version, share_of(fields, "share"))

    place = "/page/experience/{policy}/shadow"
    return ChangeForm(place, "experience", "shadow.html", values, start)


def _end(services: Services) -> ChangeForm:
    async def values(request: Request, fields: Fields) -> dict[str, Any]:  # noqa: ARG001
        policy, alias = request.path_params["policy"], request.path_params["alias"]
        traffic = await services.traffic(request, policy)
        shadow = shadow_of(traffic, alias)
        return {"policy": policy, "alias": alias, "generation": traffic.generation, "shadow": shadow}

    async def end(request: Request, fields: Fields) -> str:
        return await _set(services, request, fields, request.path_params["alias"], 0, 0.0)

    place = "/page/experience/{policy}/shadow/{alias}/end"
    return ChangeForm(place, "experience", "end_shadow.html", values, end)


async def _set(
    services: Services, request: Request, fields: Fields, alias: str, version: int, share: float
) -> str:
    """Makes the call and returns the path of the next page. `share` 0 ends the shadow."""
    policy = request.path_params["policy"]
    message = pb.SetShadowRequest(
        policy=policy,
        alias=alias,
        version=version,
        share=share,
        expected_generation=generation_of(fields),
        actor=ACTOR,
        reason=reason_of(fields),
    )
    await services.gateway.calls.unary(request, methods.SET_SHADOW, message)
    return f"/page/experience/{policy}"
