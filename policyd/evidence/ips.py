"""Importance sampling, per decision: the return of a version that did not act. Pure functions.

Precup, Sutton and Singh, Eligibility traces for off-policy policy evaluation (2000).
"""

from __future__ import annotations

import numpy as np

from policyd.evidence.intervals import Floats
from policyd.evidence.logs import Logs


def ips(logs: Logs) -> Floats:
    """Returns sum_t rho_t r_t for each episode [N].

    Their mean is unbiased for the target's return.
    """
    values: Floats = (logs.weights * logs.rewards).sum(axis=1)
    return values


def self_normalised_ips(logs: Logs) -> Floats:
    """Returns values [N] whose mean is sum_t (sum_i rho_it r_it) / (sum_i rho_it).

    This estimate is consistent. Its bias is O(1/N), and its variance is much smaller than that of
    `ips` (Thomas, 2015, consistent weighted per-decision importance sampling). The spread of the
    values is that of the estimate's linearisation, so their standard error is the estimate's.
    """
    weights = logs.weights
    means = weights.mean(axis=0)  # [T]
    scaled = weights / np.where(means > 0, means, 1.0)  # [N, T], mean 1
    rewards = (scaled * logs.rewards).mean(axis=0)  # [T], the estimate of each step's mean reward
    values: Floats = (scaled * (logs.rewards - rewards) + rewards).sum(axis=1)
    return values
