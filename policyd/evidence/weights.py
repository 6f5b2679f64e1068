"""Whether importance weights can be trusted. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policyd.evidence.intervals import Floats
from policyd.evidence.logs import Logs

MOST_DEVIATIONS = 4.0  # how far the mean weight may be from 1, in standard errors
#: The chance that actions that no step shows are more probable than assumed.
UNSEEN_TAIL = 0.01
#: The largest weight that unseen actions are assumed to have. With larger ones, fewer than 5% of
#: the episodes would be effective, and there is no verdict then.
UNSEEN_WEIGHT = 20.0


def effective_sample_size(weights: Floats) -> float:
    """Returns the effective number of episodes: (sum w)^2 / sum w^2 of weights [N] (Kong, 1992)."""
    largest = weights.max(initial=0.0)
    if largest <= 0:
        return 0.0
    scaled = weights / largest  # the squares of huge weights would overflow
    return float(scaled.sum() ** 2 / (scaled * scaled).sum())


def largest_share(weights: Floats) -> float:
    """Returns the largest weight's share of the sum, 0 to 1."""
    largest = weights.max(initial=0.0)
    return float(1 / (weights / largest).sum()) if largest > 0 else 1.0


@dataclass(frozen=True)
class MeanWeight:
    """The mean of q / pi_recorded over all steps; 1 where the recorded probabilities are right."""

    mean: float
    deviations: float  # distance from 1, in standard errors
    unexplained: bool  # too far from 1, even if all unseen actions had extreme weights


def mean_weight(logs: Logs) -> MeanWeight:
    """Returns the mean weight of the target or of a probe, whichever is further from 1.

    Under the recorded policy each step's ratio has the mean 1, whatever the distribution q is. If
    the mean is not 1, the recorded probabilities are not those that the actions were drawn with. A
    target that is close to the recorded policy would show little of that, so the probes are tested
    too.
    """
    found = [_mean_weight(ratios, logs.valid) for ratios in (logs.log_ratios, *logs.probes)]
    return max(found, key=lambda each: (each.unexplained, abs(each.deviations)))


def _mean_weight(log_ratios: Floats, valid: NDArray[np.bool_]) -> MeanWeight:
    """Returns the mean weight, and its distance from 1 in standard errors.

    Steps of one episode depend on each other, so the error is that of sums over episodes.
    """
    ratios = np.where(valid, np.exp(np.minimum(log_ratios, 600.0)), 0.0)
    steps = valid.sum(axis=1)  # [N]
    mean = float(ratios.sum() / max(1, steps.sum()))
    deviations = deviations_from_zero(ratios.sum(axis=1) - steps)
    low, high = _with_unseen(mean, int(steps.sum()))
    return MeanWeight(mean, deviations, abs(deviations) > MOST_DEVIATIONS and not low <= 1 <= high)


def deviations_from_zero(values: Floats) -> float:
    """Returns by how many standard errors the mean of values [N] differs from 0."""
    mean, error = float(values.mean()), np.inf
    if len(values) > 1:
        error = float(values.std(ddof=1)) / np.sqrt(len(values))
    if error < 1e-9:
        return 0.0 if abs(mean) < 1e-6 else float(np.copysign(np.inf, mean))
    return float(mean / error)


def _with_unseen(mean: float, steps: int) -> tuple[float, float]:
    """Returns what the mean weight may be if unseen actions are counted too.

    Together they have a probability below 1 - tail^(1/steps), at confidence 1 - tail (Clopper and
    Pearson, 1934), and weights from 0 to UNSEEN_WEIGHT.
    """
    unseen = 1 - UNSEEN_TAIL ** (1 / max(1, steps))
    shown = mean * (1 - unseen)
    return shown, shown + unseen * UNSEEN_WEIGHT
