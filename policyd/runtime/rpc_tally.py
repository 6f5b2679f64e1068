"""Counts of calls that another part of the process keeps, as metrics take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# Seconds.
BUCKETS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Tally(NamedTuple):
    """What became of one method's calls since the start, counted elsewhere."""

    method: str  # full name
    codes: Sequence[int]  # calls by gRPC's code, 0 to 16
    buckets: Sequence[int]  # calls by BUCKETS, the last above all of them
    seconds: float  # of all calls
