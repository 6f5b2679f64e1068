"""Whether importance weights can be trusted. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policyd.evidence.intervals import Floats
from policyd.evidence.logs import Logs

MOST_DEVIATIONS = 4.0  # of the mean weight from 1, in standard errors
#: Chance that the actions which no step shows are more probable than is allowed for.
UNSEEN_TAIL = 0.01
#: Larger weights leave less than a twentieth of the episodes effective: nothing is told then.
UNSEEN_WEIGHT = 20.0


def effective_sample_size(weights: Floats) -> float:
    """(sum w)^2 / sum w^2 of weights [N] (Kong, 1992): how many episodes they are worth."""
    largest = weights.max(initial=0.0)
    if largest <= 0:
        return 0.0
    scaled = weights / largest  # squares of huge weights would overflow
    return float(scaled.sum() ** 2 / (scaled * scaled).sum())


def largest_share(weights: Floats) -> float:
    """The largest weight's share of the sum, 0 to 1."""
    largest = weights.max(initial=0.0)
    return float(1 / (weights / largest).sum()) if largest > 0 else 1.0


@dataclass(frozen=True)
class MeanWeight:
    """The mean of q / pi_recorded over all steps; 1 where the recorded probabilities are right."""

    mean: float
    deviations: float  # from 1, in standard errors
    unexplained: bool  # too far from 1, whatever the actions do that the sample does not show


def mean_weight(logs: Logs) -> MeanWeight:
    """The mean weight of the target or of a probe, whichever is further from 1.

    Under the recorded policy each step's ratio has the mean 1, whatever the distribution q: where
    it has not, the probabilities that were recorded are not those that the actions were drawn with.
    A target close to what was recorded shows little, so that probes are looked at besides.
    """
    found = [_mean_weight(ratios, logs.valid) for ratios in (logs.log_ratios, *logs.probes)]
    return max(found, key=lambda each: (each.unexplained, abs(each.deviations)))


def _mean_weight(log_ratios: Floats, valid: NDArray[np.bool_]) -> MeanWeight:
    """Steps of one episode are not independent, so the error is that of sums over episodes."""
    ratios = np.where(valid, np.exp(np.minimum(log_ratios, 600.0)), 0.0)
    steps = valid.sum(axis=1)  # [N]
    mean = float(ratios.sum() / max(1, steps.sum()))
    deviations = deviations_from_zero(ratios.sum(axis=1) - steps)
    low, high = _with_unseen(mean, int(steps.sum()))
    return MeanWeight(mean, deviations, abs(deviations) > MOST_DEVIATIONS and not low <= 1 <= high)


def deviations_from_zero(values: Floats) -> float:
    """By how many standard errors the mean of values [N] is not 0."""
    mean, error = float(values.mean()), np.inf
    if len(values) > 1:
        error = float(values.std(ddof=1)) / np.sqrt(len(values))
    if error < 1e-9:
        return 0.0 if abs(mean) < 1e-6 else float(np.copysign(np.inf, mean))
    return float(mean / error)


def _with_unseen(mean: float, steps: int) -> tuple[float, float]:
    """What the mean weight may be once actions count that none of the steps shows.

    Together they have a probability below 1 - tail^(1/steps), at confidence 1 - tail (Clopper and
    Pearson, 1934), and weights from 0 to UNSEEN_WEIGHT.
    """
    unseen = 1 - UNSEEN_TAIL ** (1 / max(1, steps))
    shown = mean * (1 - unseen)
    return shown, shown + unseen * UNSEEN_WEIGHT
