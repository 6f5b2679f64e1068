"""How far two versions' distributions lie apart. Pure functions of the outputs of two graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policyd_server.heads.bernoulli import BernoulliHead
from policyd_server.heads.categorical import CategoricalHead
from policyd_server.heads.gaussian import HALF_LOG_2PI, GaussianHead
from policyd_server.heads.interface import Head
from policyd_server.heads.multi_categorical import MultiCategoricalHead
from policyd_server.sampling import Float32, Float64

#: The smallest probability in a logarithm. So a divergence is finite if the shadow excludes an
#: action.
LEAST = 1e-12


@dataclass(frozen=True)
class Apart:
    """The comparison of B rows. The first version is the one that answered."""

    divergence: Float64  # [B], KL(first, second) in nats
    agree: NDArray[np.bool_]  # [B], whether both have the same most probable action
    first_entropy: Float64  # [B], nats
    second_entropy: Float64  # [B]


def apart(head: Head, first: Sequence[Float32], second: Sequence[Float32]) -> Apart:
    """Compares the outputs of two versions with the same action space, row by row."""
    if isinstance(head, GaussianHead):
        return _normals(*(output.astype(np.float64) for output in (*first, *second)))
    p, q = first[1].astype(np.float64), second[1].astype(np.float64)
    if isinstance(head, BernoulliHead):
        return _joined(
            [_choices(np.stack((1 - a, a), 1), np.stack((1 - b, b), 1)) for a, b in _columns(p, q)]
        )
    if isinstance(head, CategoricalHead):
        return _choices(p, q)
    if isinstance(head, MultiCategoricalHead):
        ends = np.cumsum(head.nvec)[:-1]
        parts = zip(np.split(p, ends, axis=1), np.split(q, ends, axis=1), strict=True)
        return _joined([_choices(a, b) for a, b in parts])
    raise TypeError(f"no comparison of {type(head).__name__}")


def _columns(p: Float64, q: Float64) -> list[tuple[Float64, Float64]]:
    return list(zip(p.T, q.T, strict=True))


def _choices(p: Float64, q: Float64) -> Apart:
    """Compares one choice of n, with probabilities [B, n] each. KL = sum p log(p / q)."""
    log_p, log_q = np.log(np.maximum(p, LEAST)), np.log(np.maximum(q, LEAST))
    return Apart(
        np.maximum(0.0, (p * (log_p - log_q)).sum(axis=1)),
        p.argmax(axis=1) == q.argmax(axis=1),
        -(p * log_p).sum(axis=1),
        -(q * log_q).sum(axis=1),
    )


def _joined(parts: Sequence[Apart]) -> Apart:
    """Joins independent choices: divergences and entropies are added, and all have to agree."""
    return Apart(
        np.sum([part.divergence for part in parts], axis=0),
        np.asarray(np.stack([part.agree for part in parts]).all(axis=0)),
        np.sum([part.first_entropy for part in parts], axis=0),
        np.sum([part.second_entropy for part in parts], axis=0),
    )


def _normals(mean: Float64, std: Float64, other_mean: Float64, other_std: Float64) -> Apart:
    """Compares independent normals [B, size].

    KL = sum log(s2 / s1) + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2. It does not change if both are
    squashed.
    """
    squares = (std**2 + (mean - other_mean) ** 2) / (2 * other_std**2)
    return Apart(
        (np.log(other_std / std) + squares - 0.5).sum(axis=1),
        np.asarray((np.abs(other_mean - mean) <= std).all(axis=1)),
        (np.log(std) + HALF_LOG_2PI + 0.5).sum(axis=1),
        (np.log(other_std) + HALF_LOG_2PI + 0.5).sum(axis=1),
    )
