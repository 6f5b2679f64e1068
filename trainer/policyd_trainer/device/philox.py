"""Philox4x32-10, a counter-based generator of random numbers, in torch operations.

Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". A number depends
on its key and counter only: not on the device, nor on how many processes share the environments.
"""

from __future__ import annotations

from torch import Tensor

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
INCREMENTS = (0x9E3779B9, 0xBB67AE85)  # added to the two halves of the key in each round
ROUNDS = 10
MASK = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Words, key: tuple[Tensor, Tensor]) -> Words:
    """Four random words of 32 bits for each counter.

    Args:
        counter: four int64 tensors with numbers below 2^32; their shapes broadcast together.
        key: two int64 tensors with numbers below 2^32, of shapes that broadcast with the counter's.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        low, high = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]  # wraps modulo 2^64, but the bits are right
        c0, c1 = (high >> 32 & MASK) ^ c1 ^ k0, high & MASK
        c2, c3 = (low >> 32 & MASK) ^ c3 ^ k1, low & MASK
        k0, k1 = (k0 + INCREMENTS[0]) & MASK, (k1 + INCREMENTS[1]) & MASK
    return c0, c1, c2, c3
