"""Learning curves of published versions, read from their files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress

from markupsafe import Markup
from starlette.requests import Request

from policyd.errors import FailedPrecondition, NotFound, PermissionDenied
from policyd_server.page.asking import Services
from policyd_server.page.charts.curves import COLOURS, Series, curves

FILE, RETURN = "learning_curve.json", "rollout/ep_rew_mean"
MOST_BYTES = 16 * 2**20
AXES = ("environment steps", "mean return of the last 100 episodes")


async def learning_curves(
    services: Services, request: Request, policy: str, versions: Sequence[int]
) -> Markup | None:
    """Returns one chart with the curves of at most COLOURS versions.

    None: there is nothing to draw, or the caller lacks the role.
    """
    series: list[Series] = []
    for version in versions[-COLOURS:]:
        try:
            content = await services.small_file(request, policy, version, FILE, MOST_BYTES)
        except PermissionDenied:
            return None
        except (NotFound, FailedPrecondition):
            continue  # imported without a curve, or damaged, which the table shows
        if points := read_points(content):
            series.append(Series(f"version {version}", points))
    if not series:
        return None
    label = f"Learning curves of {policy}: " + ", ".join(line.name for line in series)
    return curves(series, AXES, label)


def read_points(content: bytes) -> list[tuple[float, float]]:
    """Returns (env_steps, mean return) of a learning_curve.json. Invalid entries are left out.

    The file may come from elsewhere, because an admin can import any.
    """
    points: list[tuple[float, float]] = []
    with suppress(ValueError, RecursionError):
        read = json.loads(content)
        for point in read if isinstance(read, list) else []:
            with suppress(TypeError, KeyError, ValueError, OverflowError):
                x, y = float(point["env_steps"]), float(point["scalars"][RETURN])
                if math.isfinite(x) and math.isfinite(y):
                    points.append((x, y))
    return points
