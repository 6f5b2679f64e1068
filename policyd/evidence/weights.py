"""Whether importance weights can be trusted. Pure functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policyd.evidence.intervals import Floats
from policyd.evidence.logs import Logs


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


def mean_weight(logs: Logs) -> tuple[float, float]:
    """The mean of q / pi_recorded over all steps, and by how many standard errors it is not 1.

    Under the recorded policy each step's ratio has the mean 1, whatever the distribution q: where
    it has not, the probabilities that were recorded are not those that the actions were drawn with.
    q is the target or one of the probes, whichever is further off: a target close to what was
    recorded shows little.
    """
    found = [_mean_ratio(ratios, logs.valid) for ratios in (logs.log_ratios, *logs.probes)]
    return max(found, key=lambda mean_and_score: abs(mean_and_score[1]))


def _mean_ratio(log_ratios: Floats, valid: NDArray[np.bool_]) -> tuple[float, float]:
    """Steps of one episode are not independent, so the error is that of sums over episodes."""
    ratios = np.where(valid, np.exp(np.minimum(log_ratios, 600.0)), 0.0)
    steps = valid.sum(axis=1)  # [N]
    mean = float(ratios.sum() / max(1, steps.sum()))
    rest = ratios.sum(axis=1) - steps  # [N], of mean 0
    error = float(rest.std(ddof=1)) / np.sqrt(len(rest)) if len(rest) > 1 else np.inf
    if error < 1e-9:
        return mean, 0.0 if abs(mean - 1) < 1e-6 else np.inf
    return mean, float(rest.mean() / error)
