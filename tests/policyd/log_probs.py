"""Log-probabilities of one row, close to the mathematical notation.

The oracles of the server's heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from policy_api.v1.artifact_pb2 import GaussianDistribution
from policyd.sampling import branches_of


def branch_log_prob(probs: Sequence[float], nvec: Sequence[int], action: Sequence[int]) -> float:
    """sum_j ln p_j(a_j). The branches' probabilities are side by side [sum of nvec]."""
    return math.fsum(_log(p[a]) for p, a in zip(branches_of(probs, nvec), action, strict=True))


def bit_log_prob(probs: Sequence[float], action: Sequence[int]) -> float:
    """The sum over j of ln p_j if bit j is 1, and ln (1 - p_j) if it is 0."""
    return math.fsum(_log(p if bit else 1.0 - p) for p, bit in zip(probs, action, strict=True))


def box_log_prob(
    distribution: GaussianDistribution, mean: Sequence[float], std: Sequence[float], u: Sequence[float]
) -> float:
    """sum_j log N(u_j; mean_j, std_j), minus log |d action_j / d u_j| if the squash is TANH.

    d action / du = (high - low) / 2 (1 - tanh(u)^2), and 1 - tanh(u)^2 = 4 e^(-2|u|) / (1 +
    e^(-2|u|))^2.
    """
    terms = [
        -0.5 * ((x - m) / s) ** 2 - math.log(s) - 0.5 * math.log(2 * math.pi)
        for x, m, s in zip(u, mean, std, strict=True)
    ]
    if distribution.squash == GaussianDistribution.TANH:
        for x, low, high in zip(u, distribution.low, distribution.high, strict=True):
            slope = math.log(4) - 2 * abs(x) - 2 * math.log1p(math.exp(-2 * abs(x)))
            terms.append(-math.log((high - low) / 2) - slope)
    return math.fsum(terms)


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
