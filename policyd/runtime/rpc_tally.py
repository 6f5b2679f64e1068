"""Counts of calls that another part of the process keeps, as metrics take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# Upper bounds of the histogram's buckets, in seconds.
BUCKETS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Tally(NamedTuple):
    """The calls of one method since the start, counted by another part of the process."""

    method: str  # full name
    codes: Sequence[int]  # number of calls by gRPC's status code, 0 to 16
    buckets: Sequence[int]  # number of calls by BUCKETS; the last element counts longer calls
    seconds: float  # the sum of all calls' durations
