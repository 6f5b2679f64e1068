"""The mean and quantiles of latencies, in constant memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

FIRST_SECONDS, GROWTH = 1e-6, 1.1  # edges of the buckets
BUCKETS = 200  # up to 190 s


@dataclass
class Latencies:
    """The sum, and counts in buckets that grow by a tenth."""

    total: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, seconds: float) -> None:
        """One call."""
        self.total += seconds
        place = math.ceil(math.log(max(seconds, FIRST_SECONDS) / FIRST_SECONDS, GROWTH))
        self.counts[min(place, BUCKETS - 1)] += 1

    @property
    def mean(self) -> float:
        """Seconds; 0 before the first call."""
        return self.total / max(1, sum(self.counts))

    def quantile(self, share: float) -> float:
        """The upper edge of the bucket that holds this quantile: at most a tenth too much."""
        wanted, seen = share * sum(self.counts), 0
        for place, count in enumerate(self.counts):
            seen += count
            if seen and seen >= wanted:
                return float(FIRST_SECONDS * GROWTH**place)
        return 0.0
