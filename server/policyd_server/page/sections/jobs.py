"""Jobs: the queue, one job as it runs, and cancelling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from policy_api.v1 import training_pb2
from policyd.errors import NotFound
from policyd_server.page import methods, rendering
from policyd_server.page.asking import Services
from policyd_server.page.charts.curves import Series, curves
from policyd_server.page.feed import Parts
from policyd_server.page.live import Feeds
from policyd_server.page.remembering import CurveMemory
from policyd_server.page.sections.forms import ChangeForm, Fields, reason_of
from policyd_server.page.sections.frame import live, shown
from policyd_server.page.views import jobs

AXES = ("environment steps", "mean return of the last 100 episodes")


def routes(services: Services, feeds: Feeds, memory: CurveMemory) -> Sequence[BaseRoute]:
    """Returns the routes of the pages, of their streams, and of cancelling."""
    return [*_looking(services, feeds, memory), *_cancellation(services).routes(services.gateway)]


def _looking(services: Services, feeds: Feeds, memory: CurveMemory) -> Sequence[BaseRoute]:
    gateway = services.gateway

    async def queue(request: Request) -> dict[str, Any]:
        listed = await services.jobs(request)
        memory.note(listed)
        return {"entries": jobs.entries(listed)}

    async def one_job(request: Request) -> dict[str, Any]:
        listed = await services.jobs(request)
        memory.note(listed)
        job = await services.job(request, request.path_params["job_id"])
        return {
            "entry": jobs.entry(job),
            "curve": _curve(job, memory),
            "settings": sorted(job.spec.settings.items()),
            "attempts": job.attempts,
            "log": await _log(services, request, job),
        }

    async def every(request: Request) -> Response:
        made = await queue(request)
        return rendering.respond(
            gateway, request, "jobs.html", section="jobs", live="/page/live/jobs", **made
        )

    async def one(request: Request) -> Response:
        made = await one_job(request)
        place = f"/page/live/jobs/{made['entry'].job_id}"
        return rendering.respond(gateway, request, "job.html", section="jobs", live=place, **made)

    async def stream_queue(request: Request) -> Response:
        async def make() -> Parts:
            may = rendering.abilities(gateway, request)
            return {"jobs": rendering.fragment("jobs_part.html", may=may, **await queue(request))}

        return await feeds.stream(gateway, request, make)

    async def stream_one(request: Request) -> Response:
        async def make() -> Parts:
            may = rendering.abilities(gateway, request)
            return {"job": rendering.fragment("job_part.html", may=may, **await one_job(request))}

        return await feeds.stream(gateway, request, make)

    return [
        Route("/page/jobs", shown(gateway, every)),
        Route("/page/jobs/{job_id}", shown(gateway, one)),
        Route("/page/live/jobs", live(gateway, stream_queue)),
        Route("/page/live/jobs/{job_id}", live(gateway, stream_one)),
    ]


def _cancellation(services: Services) -> ChangeForm:
    async def values(request: Request, fields: Fields) -> dict[str, Any]:  # noqa: ARG001
        return {"entry": jobs.entry(await services.job(request, request.path_params["job_id"]))}

    async def cancel(request: Request, fields: Fields) -> str:
        job_id = request.path_params["job_id"]
        message = training_pb2.CancelTrainingJobRequest(job_id=job_id, reason=reason_of(fields))
        await services.gateway.calls.unary(request, methods.CANCEL_JOB, message)
        return f"/page/jobs/{job_id}"

    return ChangeForm("/page/jobs/{job_id}/cancel", "jobs", "cancel.html", values, cancel)


def _curve(job: training_pb2.TrainingJob, memory: CurveMemory) -> Any:
    points = memory.points(job.job_id)
    if len(points) < 2:
        return None
    return curves([Series("this job", points)], AXES, f"Mean return of job {job.job_id} as it learns")


async def _log(services: Services, request: Request, job: training_pb2.TrainingJob) -> str:
    """Returns the end of the job's log. If the log was deleted: the lines in the failure."""
    try:
        return await services.log_tail(request, job.job_id)
    except NotFound:
        return "\n".join(job.failure.log_tail)
