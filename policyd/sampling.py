"""Counter-based sampling of one row: how an action follows from a seed and the row's distribution.

docs/guide/sampling.md defines it bit for bit; trainer, server and `policyctl verify` agree on it.
The uniform number of a row depends on (seed, row, draw) alone, so neither the other rows of a batch
nor a replica nor load can change an action. The mixing function is SplitMix64's finaliser (Steele,
Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).

A Discrete action uses draw 0 of its row. Branch j of a MultiDiscrete, bit j of a MultiBinary and
element j of a Box use draw j.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

from policy_api.v1.artifact_pb2 import GaussianDistribution

MASK64 = 0xFFFF_FFFF_FFFF_FFFF
# 2^64 / golden ratio, odd: SplitMix64's increment.
GOLDEN = 0x9E37_79B9_7F4A_7C15
MIX_1 = 0xBF58_476D_1CE4_E5B9
MIX_2 = 0x94D0_49BB_1331_11EB

STANDARD_NORMAL = NormalDist()


def mix64(z: int) -> int:
    """SplitMix64's finaliser: a bijection of the 64-bit integers that mixes every bit."""
    z = ((z ^ (z >> 30)) * MIX_1) & MASK64
    z = ((z ^ (z >> 27)) * MIX_2) & MASK64
    return z ^ (z >> 31)


def uniform(seed: int, row: int, draw: int = 0) -> float:
    """Returns the uniform number in [0, 1) of draw `draw` of row `row`: a multiple of 2^-53.

    h = mix64(mix64(mix64(seed + G) + (row + 1) G) + (draw + 1) G), all modulo 2^64; u = (h >> 11)
    2^-53.
    """
    h = mix64((seed + GOLDEN) & MASK64)
    h = mix64((h + (row + 1) * GOLDEN) & MASK64)
    h = mix64((h + (draw + 1) * GOLDEN) & MASK64)
    return (h >> 11) * 2.0**-53


# One choice (Discrete)


def choose(probs: Sequence[float], u: float) -> int:
    """Returns the first index whose cumulative probability exceeds u * total.

    `probs` [n] are float32 values, not negative, at least one of them positive. They are added in
    float64 in the order of their indices; the total is the last sum. If no index is found because
    of rounding, the last one with a positive probability is returned.
    """
    sums = []
    total = 0.0
    for p in probs:
        total += p
        sums.append(total)
    threshold = u * total
    for action, cumulative in enumerate(sums):
        if cumulative > threshold:
            return action
    return max(action for action, p in enumerate(probs) if p > 0)


def mode(probs: Sequence[float]) -> int:
    """Returns the index of the largest probability; the first one if several are equal."""
    return max(range(len(probs)), key=probs.__getitem__)


def sample(probs: Sequence[float], seed: int, row: int) -> int:
    """Returns the action of row `row` under `seed`.

    `row` is `first_row` + the row's position in its request.
    """
    return choose(probs, uniform(seed, row))


# Several choices at once (MultiDiscrete) and bits (MultiBinary)


def branches_of(probs: Sequence[float], nvec: Sequence[int]) -> Iterator[Sequence[float]]:
    """Yields the probabilities of each branch, from a row [sum of nvec]."""
    start = 0
    for n in nvec:
        yield probs[start : start + n]
        start += n


def sample_branches(probs: Sequence[float], nvec: Sequence[int], seed: int, row: int) -> list[int]:
    """Returns the sampled index of each branch [branches].

    `probs` is a row of probabilities [sum of nvec].
    """
    branches = enumerate(branches_of(probs, nvec))
    return [choose(branch, uniform(seed, row, j)) for j, branch in branches]


def branch_modes(probs: Sequence[float], nvec: Sequence[int]) -> list[int]:
    """Returns the most probable index of each branch [branches]; the first if several are equal."""
    return [mode(branch) for branch in branches_of(probs, nvec)]


def sample_bits(probs: Sequence[float], seed: int, row: int) -> list[int]:
    """Returns bits [n]: bit j is 1 if uniform(seed, row, j) < p_j, the probability of 1."""
    return [int(uniform(seed, row, j) < p) for j, p in enumerate(probs)]


def bit_modes(probs: Sequence[float]) -> list[int]:
    """Returns bits [n]: 1 where its probability is above 1/2."""
    return [int(p > 0.5) for p in probs]


# Continuous actions (Box)


def midpoint(u: float) -> float:
    """Returns (floor(u 2^52) + 1/2) 2^-52.

    It lies inside (0, 1), is exact in binary64, and is symmetric about 1/2.
    """
    return (math.floor(u * 2.0**52) + 0.5) * 2.0**-52


def standard_normal(seed: int, row: int, draw: int) -> float:
    """Returns the standard normal number of a draw: the inverse of the cumulative distribution.

    It is taken at the midpoint of the draw's uniform number. NormalDist.inv_cdf is Wichura's AS 241
    (PPND16, Applied Statistics 37, 1988), within 1e-15 relative.
    """
    return STANDARD_NORMAL.inv_cdf(midpoint(uniform(seed, row, draw)))


def sample_normal(mean: Sequence[float], std: Sequence[float], seed: int, row: int) -> list[float]:
    """Returns u_j = mean_j + std_j z_j in binary64 [size]. z_j is the normal number of draw j.

    A response has it rounded to float32.
    """
    return [m + s * standard_normal(seed, row, j) for j, (m, s) in enumerate(zip(mean, std, strict=True))]


def box_action(distribution: GaussianDistribution, u: Sequence[float]) -> list[float]:
    """Returns the action to play for a normal sample u [size]: squashed or clipped, in binary64."""
    tanh = distribution.squash == GaussianDistribution.TANH
    bounds = zip(u, distribution.low, distribution.high, strict=True)
    actions = (
        (low + (math.tanh(x) + 1) / 2 * (high - low) if tanh else x, low, high) for x, low, high in bounds
    )
    return [min(max(action, low), high) for action, low, high in actions]
