"""Importance sampling, per decision: the return of a version that did not act. Pure functions.

Precup, Sutton and Singh, Eligibility traces for off-policy policy evaluation (2000).
"""

from __future__ import annotations

import numpy as np

from policyd.evidence.intervals import Floats
from policyd.evidence.logs import Logs


def ips(logs: Logs) -> Floats:
    """sum_t rho_t r_t of each episode [N]: their mean is unbiased for the target's return."""
    values: Floats = (logs.weights * logs.rewards).sum(axis=1)
    return values


def self_normalised_ips(logs: Logs) -> Floats:
    """Values [N] whose mean is sum_t (sum_i rho_it r_it) / (sum_i rho_it), a consistent estimate.

    Biased by O(1/N), of much smaller variance (Thomas, 2015, consistent weighted per-decision
    importance sampling). The values' spread is that of the estimate's linearisation, so that their
    mean has its error.
    """
    weights = logs.weights
    means = weights.mean(axis=0)  # [T]
    scaled = weights / np.where(means > 0, means, 1.0)  # [N, T], mean 1
    rewards = (scaled * logs.rewards).mean(axis=0)  # [T], the estimate of each step's mean reward
    values: Floats = (scaled * (logs.rewards - rewards) + rewards).sum(axis=1)
    return values
