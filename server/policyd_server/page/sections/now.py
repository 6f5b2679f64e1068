"""Now: what answers at this moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from policy_api.v1.training_pb2 import TrainingJob
from policyd.errors import PermissionDenied, Unavailable
from policyd_server.page import rendering
from policyd_server.page.asking import Services
from policyd_server.page.feed import Parts
from policyd_server.page.live import Feeds
from policyd_server.page.measuring import Meter
from policyd_server.page.sections.frame import live, shown
from policyd_server.page.views import jobs, now


def routes(services: Services, feeds: Feeds, meter: Meter) -> Sequence[BaseRoute]:
    """Returns the routes of the page and of its stream."""
    gateway = services.gateway

    async def values(request: Request) -> dict[str, Any]:
        readings = await meter.readings()
        policies = await services.policies(request)
        return {
            "cards": now.cards(policies, datetime.now(UTC), readings),
            "measures": meter.measures,
            "unmeasured": meter.problem,
            **await _training(services, request),
        }

    async def page(request: Request) -> Response:
        made = await values(request)
        return rendering.respond(gateway, request, "now.html", section="now", live="/page/live/now", **made)

    async def stream(request: Request) -> Response:
        async def make() -> Parts:
            made = await values(request)
            may = rendering.abilities(gateway, request)
            return {"now": rendering.fragment("now_part.html", may=may, **made)}

        return await feeds.stream(gateway, request, make)

    return [
        Route("/page", shown(gateway, page)),
        Route("/page/live/now", live(gateway, stream)),
    ]


async def _training(services: Services, request: Request) -> dict[str, Any]:
    """Returns the jobs that wait or run, and what is wrong with the trainer."""
    try:
        listed = await services.jobs(request)
    except Unavailable as error:
        return {"trainer": error.message, "active": []}
    except PermissionDenied:
        return {"trainer": None, "active": []}  # this caller may not see it
    active: list[TrainingJob] = [job for job in listed if job.state in jobs.ACTIVE]
    return {"trainer": "", "active": jobs.entries(active)}
