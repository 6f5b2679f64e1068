"""Counter-based sampling of one row: what an answer's receipt can be checked against.

docs/SAMPLING.md defines it bit for bit. The uniform number of a row depends on (seed, row, draw) alone, so
neither batch-mates nor replicas nor load can change an action. The mixing function is SplitMix64's
finaliser (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

from collections.abc import Sequence

MASK64 = 0xFFFF_FFFF_FFFF_FFFF
# 2^64 / golden ratio, odd: SplitMix64's increment.
GOLDEN = 0x9E37_79B9_7F4A_7C15
MIX_1 = 0xBF58_476D_1CE4_E5B9
MIX_2 = 0x94D0_49BB_1331_11EB


def mix64(z: int) -> int:
    """SplitMix64's finaliser: a bijection of the 64-bit integers that mixes every bit."""
    z = ((z ^ (z >> 30)) * MIX_1) & MASK64
    z = ((z ^ (z >> 27)) * MIX_2) & MASK64
    return z ^ (z >> 31)


def uniform(seed: int, row: int, draw: int = 0) -> float:
    """The uniform number in [0, 1) of draw `draw` of row `row`: a multiple of 2^-53.

    h = mix64(mix64(mix64(seed + G) + (row + 1) G) + (draw + 1) G), all modulo 2^64; u = (h >> 11) 2^-53.
    """
    h = mix64((seed + GOLDEN) & MASK64)
    h = mix64((h + (row + 1) * GOLDEN) & MASK64)
    h = mix64((h + (draw + 1) * GOLDEN) & MASK64)
    return (h >> 11) * 2.0**-53


def choose(probs: Sequence[float], u: float) -> int:
    """The first index whose cumulative probability exceeds u * total.

    `probs` are float32 values, [n], not negative, at least one positive; they are added in float64 in the
    order of their indices, and the total is the last sum. Should rounding leave no index: the last one with
    positive probability.
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
    """The index of the largest probability; of equal ones the first."""
    return max(range(len(probs)), key=probs.__getitem__)


def sample(probs: Sequence[float], seed: int, row: int) -> int:
    """The action of row `row` (`first_row` + the row's position in its request) under `seed`."""
    return choose(probs, uniform(seed, row))
