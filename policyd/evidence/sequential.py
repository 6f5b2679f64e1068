"""The sequential test of a canary: an interval for the difference of two versions' mean returns.

The interval stays valid while one looks, for any stopping rule, so a controller may look once a
second. Like the gate's, it allows for outcomes too rare to have been seen. Pure functions,
elementwise over arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policyd.evidence.intervals import Floats, Interval, mixture_score, student_score
from policyd.evidence.moments import Moments

#: Both versions need this many returns before there is an interval.
LEAST_EPISODES = 20
#: The pooled variance counts like this many returns in each version's own variance. A few returns
#: that happen to be similar say little about the spread of later ones.
POOLED_EPISODES = 30.0


@dataclass(frozen=True)
class Arms:
    """Moments of the returns of many comparisons at once, each [K]."""

    n: Floats
    mean: Floats
    variance: Floats
    low: Floats
    high: Floats


def difference_interval(champion: Moments, canary: Moments, error_rate: float) -> Interval:
    """Returns the interval for the mean return of `canary` minus that of `champion`.

    `error_rate`: the chance that the interval misses the true difference at any look, both sides
    together. The interval is infinite until each version has LEAST_EPISODES returns.
    """
    low, high = difference_bounds(_arms(champion), _arms(canary), error_rate)
    return Interval(canary.mean - champion.mean, float(low[0]), float(high[0]))


def difference_bounds(champion: Arms, canary: Arms, error_rate: float) -> tuple[Floats, Floats]:
    """Returns the lower and upper ends [K] of `difference_interval`, for K comparisons.

    Each side is Welch's standard error se times the mixture's score at n = variance / se^2
    observations, with Student's correction for Welch's degrees of freedom. To this it adds what
    outcomes that were never seen may change.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = _shrunk(champion, canary) / champion.n, _shrunk(canary, champion) / canary.n  # [K]
        squared = first + second  # [K]
        freedom = squared**2 / (first**2 / (champion.n - 1) + second**2 / (canary.n - 1))  # [K]
        n = champion.n * canary.n / (champion.n + canary.n)  # [K]
        radius = student_score(mixture_score(n, error_rate), freedom) * np.sqrt(squared)
    radius = np.where(squared > 0, radius, 0.0)
    mean = canary.mean - champion.mean
    loss, gain = _unseen(champion, canary, error_rate / 2)
    few = np.minimum(champion.n, canary.n) < LEAST_EPISODES
    low = np.where(few, -np.inf, mean - radius - loss)
    high = np.where(few, np.inf, mean + radius + gain)
    return low, high


def _shrunk(own: Arms, other: Arms) -> Floats:
    """Returns the variance of one version's returns [K], shrunk towards the pooled variance."""
    pooled = (own.n * own.variance + other.n * other.variance) / (own.n + other.n)
    variance: Floats = (own.n * own.variance + POOLED_EPISODES * pooled) / (own.n + POOLED_EPISODES)
    return variance


def _unseen(champion: Arms, canary: Arms, tail: float) -> tuple[Floats, Floats]:
    """Returns by how much unseen outcomes may lower and raise the difference, [K] each.

    An outcome that n episodes did not show has a probability below 1 - tail^(1/n), at confidence 1
    - tail (Clopper and Pearson, 1934). It is assumed to be the most extreme return of both
    versions.
    """
    lowest, highest = np.minimum(champion.low, canary.low), np.maximum(champion.high, canary.high)
    mine, theirs = _rare(canary.n, tail), _rare(champion.n, tail)
    with np.errstate(invalid="ignore"):
        loss = mine * (canary.low - lowest) + theirs * (highest - champion.high)
        gain = mine * (highest - canary.high) + theirs * (champion.low - lowest)
    return np.nan_to_num(loss), np.nan_to_num(gain)


def _rare(n: Floats, tail: float) -> Floats:
    shares: Floats = 1 - tail ** (1 / np.maximum(n, 1))
    return shares


def _arms(moments: Moments) -> Arms:
    values = (moments.n, moments.mean, moments.variance, moments.low, moments.high)
    return Arms(*(np.array([value], np.float64) for value in values))
