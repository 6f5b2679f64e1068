"""Values that change along a run."""

from __future__ import annotations

import math
from typing import Literal

ScheduleName = Literal["constant", "linear", "cosine"]


def scheduled(name: ScheduleName, start: float, end: float, progress: float) -> float:
    """The scheduled value at `progress` in [0, 1] of the run.

    `linear`: start + (end - start) * progress. `cosine`: half a cosine from start to end
    (Loshchilov and Hutter 2017, without restarts).
    """
    progress = min(max(progress, 0.0), 1.0)
    if name == "constant":
        return start
    if name == "linear":
        return start + (end - start) * progress
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
