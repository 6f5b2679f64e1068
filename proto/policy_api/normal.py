"""Counter-based sampling of one row of continuous actions, and the way from the normal sample to the action.

docs/SAMPLING.md defines it. Element j uses draw j of its row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from policy_api import sampling
from policy_api.v1.artifact_pb2 import GaussianDistribution

_STANDARD = NormalDist()
LOG_2PI = math.log(2 * math.pi)


def midpoint(u: float) -> float:
    """(floor(u 2^52) + 1/2) 2^-52: inside (0, 1), exact in binary64, symmetric about 1/2."""
    return (math.floor(u * 2.0**52) + 0.5) * 2.0**-52


def standard_normal(seed: int, row: int, draw: int) -> float:
    """The standard normal number of a draw: the inverse of the cumulative distribution at its midpoint.

    NormalDist.inv_cdf is Wichura's AS 241 (PPND16, Applied Statistics 37, 1988), within 1e-15 relative.
    """
    return _STANDARD.inv_cdf(midpoint(sampling.uniform(seed, row, draw)))


def sample(mean: Sequence[float], std: Sequence[float], seed: int, row: int) -> list[float]:
    """u_j = mean_j + std_j z_j in binary64 [size]; an answer carries it rounded to float32."""
    return [m + s * standard_normal(seed, row, j) for j, (m, s) in enumerate(zip(mean, std, strict=True))]


def to_action(distribution: GaussianDistribution, u: Sequence[float]) -> list[float]:
    """The action to play, from a normal sample u [size], in binary64."""
    tanh = distribution.squash == GaussianDistribution.TANH
    bounds = zip(u, distribution.low, distribution.high, strict=True)
    actions = (
        (low + (math.tanh(x) + 1) / 2 * (high - low) if tanh else x, low, high) for x, low, high in bounds
    )
    return [min(max(action, low), high) for action, low, high in actions]


def log_prob(
    distribution: GaussianDistribution, mean: Sequence[float], std: Sequence[float], u: Sequence[float]
) -> float:
    """sum_j log N(u_j; mean_j, std_j), less log |d action_j / d u_j| where the squash is TANH.

    d action / du = (high - low) / 2 (1 - tanh(u)^2), and 1 - tanh(u)^2 = 4 e^(-2|u|) / (1 + e^(-2|u|))^2.
    """
    terms = [
        -0.5 * ((x - m) / s) ** 2 - math.log(s) - 0.5 * LOG_2PI for x, m, s in zip(u, mean, std, strict=True)
    ]
    if distribution.squash == GaussianDistribution.TANH:
        for x, low, high in zip(u, distribution.low, distribution.high, strict=True):
            slope = math.log(4) - 2 * abs(x) - 2 * math.log1p(math.exp(-2 * abs(x)))
            terms.append(-math.log((high - low) / 2) - slope)
    return math.fsum(terms)
