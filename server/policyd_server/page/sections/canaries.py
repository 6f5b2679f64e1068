"""Starting and ending a canary: forms that ask why, then the service's call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from policy_api.v1 import traffic_pb2 as pb
from policyd.errors import InvalidArgument, PolicydError, Unauthenticated
from policyd_server.http import errors
from policyd_server.page import methods, rendering, session
from policyd_server.page.asking import Services
from policyd_server.page.sections.changes import ACTOR, CHAMPION, generation_of, reason_of
from policyd_server.page.sections.frame import see_other, shown
from policyd_server.page.views import canary


def routes(services: Services) -> Sequence[BaseRoute]:
    """The two forms and what they do."""
    return [*_starting(services), *_ending(services)]


def _starting(services: Services) -> Sequence[BaseRoute]:
    gateway = services.gateway

    async def form(
        request: Request, fields: Mapping[str, str], *, status: int = 200, problem: str = ""
    ) -> Response:
        policy = await services.policy(request, request.path_params["policy"])
        traffic = await services.traffic(request, policy.name)
        values: dict[str, Any] = {
            "policy": policy.name,
            "generation": traffic.generation,
            "versions": [v.version for v in reversed(policy.versions) if not v.damage],
            "fields": {"alias": CHAMPION, "version": "", "share": "5", "up_to": "50", **fields},
            "reason": fields.get("reason", ""),
            "problem": problem,
        }
        return rendering.respond(
            gateway, request, "canary.html", status=status, section="experience", **values
        )

    async def ask(request: Request) -> Response:
        return await form(request, {})

    async def start(request: Request) -> Response:
        fields = await session.form(request)
        policy = request.path_params["policy"]
        try:
            message = pb.StartCanaryRequest(
                policy=policy,
                alias=fields.get("alias", ""),
                version=int(fields.get("version", "")[:15] or 0),
                config=pb.CanaryConfig(
                    share=_share(fields, "share"),
                    up_to=_share(fields, "up_to"),
                ),
                expected_generation=generation_of(fields),
                actor=ACTOR,
                reason=reason_of(fields),
            )
            await gateway.calls.unary(request, methods.START_CANARY, message)
        except Unauthenticated:
            raise
        except (PolicydError, ValueError) as error:
            told = error if isinstance(error, PolicydError) else InvalidArgument("version: not a number")
            return await form(request, fields, status=errors.status_of(told), problem=told.message)
        return see_other(f"/page/experience/{policy}")

    place = "/page/experience/{policy}/canary"
    return [
        Route(place, shown(gateway, ask), methods=["GET"]),
        Route(place, shown(gateway, start), methods=["POST"]),
    ]


def _ending(services: Services) -> Sequence[BaseRoute]:
    gateway = services.gateway

    async def form(
        request: Request, fields: Mapping[str, str], *, status: int = 200, problem: str = ""
    ) -> Response:
        policy = request.path_params["policy"]
        values: dict[str, Any] = {
            "policy": policy,
            "view": canary.view(await services.traffic(request, policy)),
            "reason": fields.get("reason", ""),
            "problem": problem,
        }
        return rendering.respond(
            gateway, request, "end_canary.html", status=status, section="experience", **values
        )

    async def ask(request: Request) -> Response:
        return await form(request, {})

    async def end(request: Request) -> Response:
        fields = await session.form(request)
        policy = request.path_params["policy"]
        try:
            message = pb.CancelCanaryRequest(policy=policy, actor=ACTOR, reason=reason_of(fields))
            await gateway.calls.unary(request, methods.CANCEL_CANARY, message)
        except Unauthenticated:
            raise
        except PolicydError as error:
            return await form(request, fields, status=errors.status_of(error), problem=error.message)
        return see_other(f"/page/experience/{policy}")

    place = "/page/experience/{policy}/canary/end"
    return [
        Route(place, shown(gateway, ask), methods=["GET"]),
        Route(place, shown(gateway, end), methods=["POST"]),
    ]


def _share(fields: Mapping[str, str], name: str) -> float:
    """A share from the per cent of a form. InvalidArgument: it is no number."""
    text = fields.get(name, "").strip()
    try:
        per_cent = float(text)
    except ValueError:
        per_cent = math.nan
    if not 0 < per_cent <= 100:
        raise InvalidArgument.of(name, got=repr(text[:40]), wanted="per cent above 0, at most 100")
    return per_cent / 100
