"""Statistics of one version's returns, from which intervals are computed. In constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Moments:
    """Statistics of `n` returns."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0  # sum of squared differences from the mean
    low: float = math.inf  # the smallest return
    high: float = -math.inf  # the largest

    @classmethod
    def of(cls, returns: Iterable[float]) -> Moments:
        """Returns the moments of these returns."""
        moments = cls()
        for value in returns:
            moments = moments.merged(cls(1, value, 0.0, value, value))
        return moments

    def merged(self, other: Moments) -> Moments:
        """Returns the moments of the returns of both (Chan, Golub and LeVeque, 1979)."""
        n = self.n + other.n
        if n == 0:
            return self
        shift = other.mean - self.mean
        return Moments(
            n,
            self.mean + shift * other.n / n,
            self.squares + other.squares + shift * shift * self.n * other.n / n,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @property
    def variance(self) -> float:
        """The unbiased estimate of the variance; 0 for fewer than two returns."""
        return self.squares / (self.n - 1) if self.n > 1 else 0.0
