"""Experience: what clients' episodes taught, and whether they are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1.traffic_pb2 import Traffic
from policyd.errors import FailedPrecondition, InvalidArgument, Unavailable
from policyd.repository.canary_section import picture
from policyd_server.page import methods, rendering
from policyd_server.page.asking import Services
from policyd_server.page.feed import Parts
from policyd_server.page.live import Feeds
from policyd_server.page.sections.forms import ACTOR, ChangeForm, Fields, generation_of, reason_of
from policyd_server.page.sections.frame import live, see_other, shown
from policyd_server.page.views import canary, experience, shadow

OFF = "EXPERIENCE_OFF"  # the reason of the error for a policy that does not record


def routes(services: Services, feeds: Feeds) -> Sequence[BaseRoute]:
    """Returns the routes of the page, of its stream, and of the form that changes the mode."""
    return [*_looking(services, feeds), *_configuration(services).routes(services.gateway)]


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

        return await feeds.stream(gateway, request, make)

    return [
        Route("/page/experience", shown(gateway, first)),
        Route("/page/experience/{policy}", shown(gateway, page)),
        Route("/page/live/experience/{policy}", live(gateway, stream)),
    ]


def _configuration(services: Services) -> ChangeForm:
    async def values(request: Request, fields: Fields) -> dict[str, Any]:
        made = await _values(services, request)
        return made | {"mode": fields.get("mode", made["view"].mode), "modes": experience.MODES}

    async def change(request: Request, fields: Fields) -> str:
        name = request.path_params["policy"]
        config = (await _recorded(services, request, name)).config
        config.mode = _mode(fields.get("mode", ""))
        message = pb.SetExperienceConfigRequest(
            policy=name,
            config=config,
            expected_generation=generation_of(fields),
            actor=ACTOR,
            reason=reason_of(fields),
        )
        await services.gateway.calls.unary(request, methods.SET_EXPERIENCE, message)
        return f"/page/experience/{name}"

    return ChangeForm("/page/experience/{policy}/record", "experience", "record.html", values, change)


async def _values(services: Services, request: Request) -> dict[str, Any]:
    name = request.path_params["policy"]
    traffic = await services.traffic(request, name)
    split = canary.view(traffic)
    drawn = Markup(picture(traffic.canary))  # noqa: S704 -- every text in it is escaped
    recorded = experience.view(await _recorded(services, request, name))
    beside = await _shadows(services, request, traffic)
    return {"policy": name, "view": recorded, "canary": split, "canary_curve": drawn, **beside}


async def _shadows(services: Services, request: Request, traffic: Traffic) -> dict[str, Any]:
    """Returns the policy's shadows, if it has or had any; or why they cannot be shown."""
    if not (traffic.shadows or any(change.HasField("shadow") for change in traffic.history)):
        return {"shadows": [], "shadow_problem": ""}
    try:
        found = await services.comparisons(request, traffic.policy)
    except Unavailable as error:
        return {"shadows": [], "shadow_problem": error.message}
    return {"shadows": shadow.views(found), "shadow_problem": ""}


async def _recorded(services: Services, request: Request, policy: str) -> pb.GetExperienceResponse:
    """Returns what is recorded; an empty response if the policy does not record."""
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
