"""Counter-based sampling of one row of several choices: branches of a MultiDiscrete, bits of a MultiBinary.

docs/SAMPLING.md defines it. Branch or bit j uses draw j of its row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from policy_api import sampling


def split(probs: Sequence[float], nvec: Sequence[int]) -> Iterator[Sequence[float]]:
    """The probabilities of each branch, from a row [sum of nvec]."""
    start = 0
    for n in nvec:
        yield probs[start : start + n]
        start += n


def sample_branches(probs: Sequence[float], nvec: Sequence[int], seed: int, row: int) -> list[int]:
    """The index of each branch [branches], from its probabilities in a row [sum of nvec]."""
    parts = enumerate(split(probs, nvec))
    return [sampling.choose(part, sampling.uniform(seed, row, j)) for j, part in parts]


def branch_modes(probs: Sequence[float], nvec: Sequence[int]) -> list[int]:
    """The most probable index of each branch; of equal ones the first."""
    return [sampling.mode(part) for part in split(probs, nvec)]


def branch_log_prob(probs: Sequence[float], nvec: Sequence[int], action: Sequence[int]) -> float:
    """sum_j ln p_j(a_j)."""
    return math.fsum(_log(part[a]) for part, a in zip(split(probs, nvec), action, strict=True))


def sample_bits(probs: Sequence[float], seed: int, row: int) -> list[int]:
    """Bit j is 1 exactly if uniform(seed, row, j) < p_j, with p_j [n] the probability of 1."""
    return [int(sampling.uniform(seed, row, j) < p) for j, p in enumerate(probs)]


def bit_modes(probs: Sequence[float]) -> list[int]:
    """1 where its probability is above 1/2."""
    return [int(p > 0.5) for p in probs]


def bit_log_prob(probs: Sequence[float], action: Sequence[int]) -> float:
    """sum_j ln p_j where bit j is 1, ln (1 - p_j) where it is 0."""
    return math.fsum(_log(p if bit else 1.0 - p) for p, bit in zip(probs, action, strict=True))


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
