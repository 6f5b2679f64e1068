"""The mean and quantiles of latencies, in constant memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

FIRST_SECONDS, GROWTH = 1e-6, 1.1  # upper edge of the first bucket, and the ratio of two neighbouring edges
BUCKETS = 200  # up to 190 s


@dataclass
class Latencies:
    """The sum of latencies, and their counts in buckets. Each bucket is 10% wider than the last."""

    total: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, seconds: float) -> None:
        """Adds one call."""
        self.total += seconds
        place = math.ceil(math.log(max(seconds, FIRST_SECONDS) / FIRST_SECONDS, GROWTH))
        self.counts[min(place, BUCKETS - 1)] += 1

    @property
    def mean(self) -> float:
        """The mean in seconds; 0 before the first call."""
        return self.total / max(1, sum(self.counts))

    def quantile(self, share: float) -> float:
        """Returns the upper edge of the bucket with this quantile. It is at most 10% too high."""
        wanted, seen = share * sum(self.counts), 0
        for place, count in enumerate(self.counts):
            seen += count
            if seen and seen >= wanted:
                return float(FIRST_SECONDS * GROWTH**place)
        return 0.0
