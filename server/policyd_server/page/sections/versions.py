"""Versions: one policy's versions beside each other, and one of them in detail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from policy_api.v1.policy_pb2 import Policy, PolicyVersion
from policyd.errors import InvalidArgument, NotFound, PermissionDenied
from policyd_server.page import rendering
from policyd_server.page.asking import Services
from policyd_server.page.charts.intervals import intervals
from policyd_server.page.feed import Parts
from policyd_server.page.learning import learning_curves
from policyd_server.page.live import Feeds
from policyd_server.page.sections.frame import live, see_other, shown
from policyd_server.page.views import versions
from policyd_server.page.views.now import problems

SHOWN_CURVES = 3  # of the newest versions, if the user has chosen none
REPORT, EPISODE, MODEL = "report.html", "episode.gif", "model.onnx"


def routes(services: Services, feeds: Feeds) -> Sequence[BaseRoute]:
    """Returns the routes of the pages and of their stream."""
    gateway = services.gateway

    async def first(request: Request) -> Response:
        policies = await services.policies(request)
        if policies:
            return see_other(f"/page/versions/{policies[0].name}")
        return rendering.respond(gateway, request, "nothing.html", section="versions")

    async def every(request: Request) -> Response:
        policy = await services.policy(request, request.path_params["policy"])
        chosen = _chosen(request, policy)
        values: dict[str, Any] = {
            "policies": [each.name for each in await services.policies(request)],
            "chosen": chosen,
            "curves": await learning_curves(services, request, policy.name, chosen),
            "curve_options": [v.version for v in reversed(policy.versions) if not v.damage],
            **_table(policy),
        }
        place = f"/page/live/versions/{policy.name}"
        return rendering.respond(gateway, request, "versions.html", section="versions", live=place, **values)

    async def stream(request: Request) -> Response:
        async def make() -> Parts:
            policy = await services.policy(request, request.path_params["policy"])
            may = rendering.abilities(gateway, request)
            return {"versions": rendering.fragment("versions_part.html", may=may, **_table(policy))}

        return await feeds.stream(gateway, request, make)

    async def one(request: Request) -> Response:
        policy = await services.policy(request, request.path_params["policy"])
        version, before = _found(policy, request.path_params["version"])
        values: dict[str, Any] = {
            "policy": policy.name,
            "policies": [each.name for each in await services.policies(request)],
            "entry": next(entry for entry in versions.entries(policy) if entry.number == version.version),
            "facts": [] if version.damage else versions.facts(version),
            "verdict": version.verdict if version.HasField("verdict") else None,
            "gate": _gate(version),
            "before": before.version if before else 0,
            "differences": versions.differences(version, before) if before else [],
            "curves": await learning_curves(services, request, policy.name, [version.version]),
            "files": await _files(services, request, policy.name, version),
        }
        return rendering.respond(gateway, request, "version.html", section="versions", **values)

    return [
        Route("/page/versions", shown(gateway, first)),
        Route("/page/versions/{policy}", shown(gateway, every)),
        Route("/page/versions/{policy}/{version:number}", shown(gateway, one)),
        Route("/page/live/versions/{policy}", live(gateway, stream)),
    ]


def _table(policy: Policy) -> dict[str, Any]:
    returns = versions.returns(policy)
    label = f"Mean returns of the versions of {policy.name}, with 95% intervals"
    return {
        "policy": policy.name,
        "entries": versions.entries(policy),
        "aliases": policy.aliases,
        "returns": intervals(returns, "mean return of an episode, 95% interval", label) if returns else None,
        "problems": problems(policy),
    }


def _chosen(request: Request, policy: Policy) -> list[int]:
    """Returns the versions whose curves the user wants."""
    there = [version.version for version in policy.versions if not version.damage]
    asked = request.query_params.getlist("curve")
    if not asked:
        return there[-SHOWN_CURVES:]
    try:
        wanted = {int(text) for text in asked}
    except ValueError:
        raise InvalidArgument.of("curve", got=repr(asked[:5]), wanted="numbers of versions") from None
    return [number for number in there if number in wanted]


def _found(policy: Policy, number: int) -> tuple[PolicyVersion, PolicyVersion | None]:
    """Returns the version, and the newest readable one before it."""
    sound = [v for v in policy.versions if v.version < number and not v.damage]
    for version in policy.versions:
        if version.version == number:
            return version, sound[-1] if sound and not version.damage else None
    raise NotFound(f"{policy.name} has no version {number}", reason="NO_SUCH_VERSION")


def _gate(version: PolicyVersion) -> Any:
    picture = versions.gate_picture(version.verdict) if version.HasField("verdict") else None
    if picture is None:
        return None
    entries, marks = picture
    axis = f"return of version {version.version} minus that of version {version.verdict.champion_version}"
    return intervals(entries, axis, f"What the gate measured: {version.verdict.explanation}", marks)


async def _files(
    services: Services, request: Request, policy: str, version: PolicyVersion
) -> list[str] | None:
    """Returns the names of the version's files. None: the caller may not read them."""
    try:
        return [] if version.damage else await services.file_names(request, policy, version.version)
    except PermissionDenied:
        return None
