"""Intervals for the mean of paired differences, with few assumptions. Pure functions.

Three things may deceive: chance, skewness, and failures too rare to have been seen. The interval is
the hull of what answers each:

- the studentised bootstrap, second-order correct under skewness (Efron and Tibshirani, An
  Introduction to the Bootstrap, 1993, chapter 12);
- typical values (Hartigan, Using subsample values as typical values, JASA 64, 1969): exact in any
  sample size for symmetric differences, where a bootstrap of a few wins among many ties is far too
  narrow;
- an allowance for the unseen (`unseen_loss`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 10_000
_CHUNK = 500  # resamples held in memory at once
_MANY = 20  # of so many differences a random subset is empty with probability one in a million


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a mean: `low` <= `mean` <= `high`."""

    mean: float
    low: float
    high: float


def mean_interval(
    differences: Floats,
    *,
    tail: float,
    unseen_tail: float,
    scale: float,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """A confidence interval for the mean of `differences` [n].

    Args:
        differences: independent, one per episode seed, [n], n >= 2.
        tail: probability of error on each side at this look, for example 0.025.
        unseen_tail: the same for failures that were not seen, over all looks together.
        scale: the largest plausible difference; see `return_scale`.
        seed: for the resampling, so that the same returns give the same verdict.
        resamples: number of resamples of the bootstrap, and of random subsets.
    """
    rng = np.random.default_rng(seed)
    mean = float(differences.mean())
    bounds = (
        studentised_bootstrap(differences, tail, rng, resamples),
        typical_values(differences, tail, rng, resamples),
    )
    low = min(low for low, _ in bounds) - unseen_loss(differences, unseen_tail, scale)
    high = max(high for _, high in bounds) + unseen_loss(-differences, unseen_tail, scale)
    return Interval(mean, min(mean, max(low, -scale)), max(mean, min(high, scale)))


def studentised_bootstrap(
    differences: Floats, tail: float, rng: np.random.Generator, resamples: int
) -> tuple[float, float]:
    """[mean - t*(1 - tail) se, mean - t*(tail) se].

    t*(q) is the q quantile of (mean* - mean) / se* over the resamples (Efron and Tibshirani 1993,
    section 12.5, bootstrap-t).
    """
    n = len(differences)
    mean, error = differences.mean(), differences.std(ddof=1) / np.sqrt(n)
    if error == 0:
        return float(mean), float(mean)
    t = np.concatenate([_t_values(differences, rng, size) for size in _chunks(resamples)])  # [resamples]
    t_low = np.quantile(t, tail, method="lower")
    t_high = np.quantile(t, 1 - tail, method="higher")
    return float(mean - t_high * error), float(mean - t_low * error)


def typical_values(
    differences: Floats, tail: float, rng: np.random.Generator, resamples: int
) -> tuple[float, float]:
    """The `tail` quantiles of the means of random subsets.

    Each difference is in a subset with probability 1/2.

    Below the lower bound a sign-flip test of level `tail` rejects: flipping the signs of a subset
    raises the mean of (differences - m) if and only if the subset's mean lies below m.
    """
    if len(differences) >= _MANY and differences.min() == differences.max():
        return float(differences[0]), float(differences[0])  # the mean of every subset that is not empty
    means = [_subset_means(differences, rng, size) for size in _chunks(resamples)]
    lower = np.sort(np.concatenate([m[0] for m in means]))  # [resamples], empty subsets at -inf
    upper = np.sort(np.concatenate([m[1] for m in means]))  # [resamples], empty subsets at +inf
    # The whole sample counts as one more of the equally likely subsets, hence resamples + 1.
    rank = int(tail * (resamples + 1)) - 1
    if rank < 0:
        return -np.inf, np.inf
    return float(lower[rank]), float(upper[-1 - rank])


def unseen_loss(differences: Floats, tail: float, scale: float) -> float:
    """How much failures that n episodes did not show may lower the mean.

    An event that did not happen in n independent episodes has a probability below p = 1 - tail **
    (1 / n), with confidence 1 - tail (Clopper and Pearson, 1934). Its cost is taken as the largest
    plausible one, minus what the worst episode has already cost. For one kind of failure the errors
    at several looks are nested: what has not happened by a look had not happened by earlier looks.
    So `tail` holds for all looks together.
    """
    p = 1.0 - tail ** (1.0 / len(differences))
    return float(p * max(0.0, scale + differences.min()))


def return_scale(*returns: Floats) -> float:
    """The largest plausible difference between the returns of two episodes.

    It is the range of all returns that were seen, together with 0. The 0 is there because policies
    that never failed on these seeds may have a range of 0.
    """
    everything = np.concatenate([*returns, np.zeros(1)])
    return float(everything.max() - everything.min())


def _t_values(differences: Floats, rng: np.random.Generator, size: int) -> Floats:
    n = len(differences)
    samples = differences[rng.integers(0, n, (size, n))]  # [size, n]
    shift = samples.mean(axis=1) - differences.mean()  # [size]
    error = samples.std(axis=1, ddof=1) / np.sqrt(n)  # [size]
    with np.errstate(divide="ignore", invalid="ignore"):
        # A resample of equal values says nothing about the error, so its t is infinite.
        return np.where(shift == 0, 0.0, shift / error)


def _subset_means(differences: Floats, rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    subsets = rng.integers(0, 2, (size, len(differences))).astype(np.float64)  # [size, n]
    counts = subsets.sum(axis=1)
    with np.errstate(invalid="ignore"):
        means = (subsets @ differences) / counts
    empty = counts == 0
    return np.where(empty, -np.inf, means), np.where(empty, np.inf, means)


def _chunks(total: int) -> list[int]:
    return [min(_CHUNK, total - start) for start in range(0, total, _CHUNK)]
