"""Starting and ending a canary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute

from policy_api.v1 import traffic_pb2 as pb
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
from policyd_server.page.views import canary


def routes(services: Services) -> Sequence[BaseRoute]:
    """Returns the routes of the two forms."""
    forms = _start(services), _end(services)
    return [route for form in forms for route in form.routes(services.gateway)]


def _start(services: Services) -> ChangeForm:
    async def values(request: Request, fields: Fields) -> dict[str, Any]:
        policy = await services.policy(request, request.path_params["policy"])
        traffic = await services.traffic(request, policy.name)
        return {
            "policy": policy.name,
            "generation": traffic.generation,
            "versions": [v.version for v in reversed(policy.versions) if not v.damage],
            "fields": {"alias": CHAMPION, "version": "", "share": "5", "up_to": "50", **fields},
        }

    async def start(request: Request, fields: Fields) -> str:
        policy = request.path_params["policy"]
        message = pb.StartCanaryRequest(
            policy=policy,
            alias=fields.get("alias", ""),
            version=version_of(fields),
            config=pb.CanaryConfig(share=share_of(fields, "share"), up_to=share_of(fields, "up_to")),
            expected_generation=generation_of(fields),
            actor=ACTOR,
            reason=reason_of(fields),
        )
        await services.gateway.calls.unary(request, methods.START_CANARY, message)
        return f"/page/experience/{policy}"

    return ChangeForm("/page/experience/{policy}/canary", "experience", "canary.html", values, start)


def _end(services: Services) -> ChangeForm:
    async def values(request: Request, fields: Fields) -> dict[str, Any]:  # noqa: ARG001
        policy = request.path_params["policy"]
        return {"policy": policy, "view": canary.view(await services.traffic(request, policy))}

    async def end(request: Request, fields: Fields) -> str:
        policy = request.path_params["policy"]
        message = pb.CancelCanaryRequest(policy=policy, actor=ACTOR, reason=reason_of(fields))
        await services.gateway.calls.unary(request, methods.CANCEL_CANARY, message)
        return f"/page/experience/{policy}"

    return ChangeForm("/page/experience/{policy}/canary/end", "experience", "end_canary.html", values, end)
