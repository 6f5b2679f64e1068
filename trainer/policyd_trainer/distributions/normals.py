"""What the distributions over normal samples u share: densities, squashing, and their entropies.

The stored action is u itself, so that its density needs no inverse of the squash.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Literal

import numpy as np

from policyd_trainer.arrays import Array

Squash = Literal["clip", "tanh"]
LOG_2PI = math.log(2 * math.pi)
NODES = 32  # nodes of the quadrature


def normal_log_probs(xp: Any, mean: Array, std: Array, u: Array) -> Array:
    """sum_j log N(u_j; mean_j, std_j) [B], from arrays [B, A]."""
    return (-0.5 * ((u - mean) / std) ** 2 - xp.log(std) - 0.5 * LOG_2PI).sum(-1)


def log_slope(xp: Any, u: Array) -> Array:
    """The number log (1 - tanh(u)^2) [B, A].

    Computed as log 4 - 2|u| - 2 log(1 + e^(-2|u|)), which is exact where tanh has saturated.
    """
    distance = abs(u)
    return math.log(4) - 2 * distance - 2 * xp.log1p(xp.exp(-2 * distance))


def squashed_log_slope(xp: Any, mean: Array, std: Array) -> tuple[Array, Array, Array]:
    """E[log (1 - tanh(u)^2)] for u ~ N(mean, std^2), and its derivatives by mean and std.

    [B, A] each. Gauss-Hermite quadrature: E f(u) = sum_k w_k f(mean + std z_k). d log(1 -
    tanh^2)/du = -2 tanh(u).
    """
    z, w = _nodes()
    expectation, by_mean, by_std = 0.0 * mean, 0.0 * mean, 0.0 * mean
    for node, weight in zip(z, w, strict=True):
        u = mean + std * node
        slope = -2 * weight * xp.tanh(u)
        expectation = expectation + weight * log_slope(xp, u)
        by_mean = by_mean + slope
        by_std = by_std + slope * node
    return expectation, by_mean, by_std


@cache
def _nodes() -> tuple[tuple[float, ...], tuple[float, ...]]:
    z, w = np.polynomial.hermite_e.hermegauss(NODES)
    return tuple(z.tolist()), tuple((w / math.sqrt(2 * math.pi)).tolist())
