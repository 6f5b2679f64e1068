"""Intervals for means and differences of means. Pure functions, elementwise over arrays.

`mean_interval` holds for one look. `mixture_score` makes intervals that hold at all looks together:
the normal mixture of Robbins (1970), as in Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
Time-uniform central limit theory and asymptotic confidence sequences (2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: The mixture's score is smallest at about ten times this many episodes.
PRIOR_EPISODES = 10.0
_Z = 1.959963984540054  # for a two-sided 95% interval


@dataclass(frozen=True)
class Interval:
    """The interval of a mean or of a difference of means. `low` <= `mean` <= `high`."""

    mean: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def student_score(z: Floats, freedom: Floats) -> Floats:
    """Returns a quantile of Student's t with `freedom` degrees of freedom.

    Its level is that at which `z` is the quantile of the normal distribution. Fisher and Cornish's
    expansion (1960) in 1/freedom, three terms.
    """
    z2 = z * z
    first = z * (z2 + 1) / 4
    second = z * (5 * z2 * z2 + 16 * z2 + 3) / 96
    third = z * (3 * z2**3 + 19 * z2 * z2 + 17 * z2 - 15) / 384
    scores: Floats = z + first / freedom + second / freedom**2 + third / freedom**3
    return scores


def mixture_score(n: Floats, error_rate: float) -> Floats:
    """Returns by how many standard errors a mean of `n` values may be wrong at any look.

    With probability `error_rate` it is exceeded at some look. sqrt((1 + n0 / n) log((1 + n / n0) /
    error_rate^2)), n0 = PRIOR_EPISODES; two-sided.
    """
    spread = 1 + n / PRIOR_EPISODES
    scores: Floats = np.sqrt((1 + PRIOR_EPISODES / n) * (np.log(spread) - 2 * math.log(error_rate)))
    return scores


def mean_interval(values: Floats) -> Interval:
    """Returns the 95% interval of the mean of `values` [n], n >= 2, for one look (Student)."""
    return _around(values, float(student_score(np.array(_Z), np.array(len(values) - 1.0))))


def mean_sequence(values: Floats, error_rate: float) -> Interval:
    """Returns the interval of the mean of `values` [n], n >= 2, valid at all looks together."""
    n = np.array(float(len(values)))
    return _around(values, float(student_score(mixture_score(n, error_rate), n - 1)))


def _around(values: Floats, score: float) -> Interval:
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - score * error, mean + score * error)
