"""Experience: what clients' episodes taught, and whether they are recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1.traffic_pb2 import Traffic
from policyd.errors import FailedPrecondition, InvalidArgument, PolicydError, Unauthenticated, Unavailable
from policyd.repository.canary_section import picture
from policyd_server.http import errors, events
from policyd_server.page import methods, rendering, session
from policyd_server.page.asking import Services
from policyd_server.page.live import Feeds, Parts
from policyd_server.page.sections.changes import ACTOR, generation_of, reason_of
from policyd_server.page.sections.frame import live, see_other, shown
from policyd_server.page.views import canary, experience, shadow

OFF = "EXPERIENCE_OFF"  # reason of what a policy without recording answers


def routes(services: Services, feeds: Feeds) -> Sequence[BaseRoute]:
    """The page, its stream, and the change of what is recorded."""
    return [*_looking(services, feeds), *_configuring(services)]


def _looking(services: Services, feeds: Feeds) -> Sequence[BaseRoute]:
    gateway = services.gateway

    async def first(request: Request) -> Response:
        policies = await services.policies(request)
        if policies:
            return see_other(f"/page/experience/{policies[0].name}")
        return rendering.respond(gateway, request, "nothing.html", section="experience")

    async def page(request: Request) -> Response:
        made = await _values(services, request)
        made["policies"] = [each.name for each in await services.policies(request)]
        place = f"/page/live/experience/{made['policy']}"
        return rendering.respond(
            gateway, request, "experience.html", section="experience", live=place, **made
        )

    async def stream(request: Request) -> Response:
        async def make() -> Parts:
            may = rendering.abilities(gateway, request)
            part = rendering.fragment("experience_part.html", may=may, **await _values(services, request))
            return {"experience": part}

        return await events.stream(gateway, feeds.follow(request, make))

    return [
        Route("/page/experience", shown(gateway, first)),
        Route("/page/experience/{policy}", shown(gateway, page)),
        Route("/page/live/experience/{policy}", live(gateway, stream)),
    ]


def _configuring(services: Services) -> Sequence[BaseRoute]:
    gateway = services.gateway

    async def configuration(
        request: Request, fields: Mapping[str, str], *, status: int = 200, problem: str = ""
    ) -> Response:
        made = await _values(services, request)
        made |= {
            "mode": fields.get("mode", made["view"].mode),
            "reason": fields.get("reason", ""),
            "problem": problem,
            "modes": experience.MODES,
        }
        return rendering.respond(gateway, request, "record.html", status=status, section="experience", **made)

    async def ask(request: Request) -> Response:
        return await configuration(request, {})

    async def change(request: Request) -> Response:
        fields = await session.form(request)
        name = request.path_params["policy"]
        try:
            config = (await _recorded(services, request, name)).config
            config.mode = _mode(fields.get("mode", ""))
            message = pb.SetExperienceConfigRequest(
                policy=name,
                config=config,
                expected_generation=generation_of(fields),
                actor=ACTOR,
                reason=reason_of(fields),
            )
            await gateway.calls.unary(request, methods.SET_EXPERIENCE, message)
        except Unauthenticated:
            raise
        except PolicydError as error:
            return await configuration(request, fields, status=errors.status_of(error), problem=error.message)
        return see_other(f"/page/experience/{name}")

    place = "/page/experience/{policy}/record"
    return [
        Route(place, shown(gateway, ask), methods=["GET"]),
        Route(place, shown(gateway, change), methods=["POST"]),
    ]


async def _values(services: Services, request: Request) -> dict[str, Any]:
    name = request.path_params["policy"]
    traffic = await services.traffic(request, name)
    split = canary.view(traffic)
    drawn = Markup(picture(traffic.canary))  # noqa: S704 -- every text in it is escaped
    recorded = experience.view(await _recorded(services, request, name))
    beside = await _shadows(services, request, traffic)
    return {"policy": name, "view": recorded, "canary": split, "canary_curve": drawn, **beside}


async def _shadows(services: Services, request: Request, traffic: Traffic) -> dict[str, Any]:
    """The policy's shadows, if it has or had any; or why they cannot be told."""
    if not (traffic.shadows or any(change.HasField("shadow") for change in traffic.history)):
        return {"shadows": [], "shadow_problem": ""}
    try:
        found = await services.comparisons(request, traffic.policy)
    except Unavailable as error:
        return {"shadows": [], "shadow_problem": error.message}
    return {"shadows": shadow.views(found), "shadow_problem": ""}


async def _recorded(services: Services, request: Request, policy: str) -> pb.GetExperienceResponse:
    """What is recorded; an empty answer where the policy records nothing."""
    try:
        return await services.experience(request, policy)
    except FailedPrecondition as error:
        if error.reason != OFF:
            raise
        return pb.GetExperienceResponse()


def _mode(text: str) -> pb.ExperienceConfig.Mode.ValueType:
    if text not in experience.MODES:
        raise InvalidArgument.of("mode", got=repr(text[:40]), wanted=" or ".join(experience.MODES))
    return pb.ExperienceConfig.Mode.Value(text)
