"""Values counted by the buckets of a histogram, so that many take no more memory than few."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client import Histogram

Values = Sequence[float] | npt.NDArray[np.float64]


class Spread:
    """How often a value fell into each bucket. For one thread at a time."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: of the histogram that gets the values, in ascending order."""
        self._bounds = np.array(bounds)
        self._counts = np.zeros(len(bounds) + 1)  # the last element counts larger values
        self._sum = 0.0

    def note(self, values: Values, times: Values | None = None) -> None:
        """Counts values; `times` says how often each one came, if not once."""
        if not len(values):
            return
        places = np.searchsorted(self._bounds, values)
        self._counts += np.bincount(places, times, len(self._counts))
        self._sum += float(np.sum(values) if times is None else np.dot(values, times))

    def add_to(self, histogram: Histogram) -> None:
        """Lets the histogram observe all values that were counted."""
        # prometheus_client has no call for many values
        for bucket, count in zip(histogram._buckets, self._counts.tolist(), strict=True):  # noqa: SLF001
            if count:
                bucket.inc(count)
        histogram._sum.inc(self._sum)  # noqa: SLF001


def observe_all(histogram: Histogram, values: Values) -> None:
    """Observes all values at the cost of about one."""
    spread = Spread(histogram._upper_bounds[:-1])  # noqa: SLF001 -- the last one is infinite
    spread.note(values)
    spread.add_to(histogram)
