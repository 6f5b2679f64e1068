"""Distributions and samples for whole batches: pure functions of arrays.

The same actions, bit for bit, as `policyd.sampling` gives row by row. docs/guide/sampling.md is the
definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from policyd import sampling

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

MASK64 = sampling.MASK64

# Arrays without dimensions, because numpy would convert a scalar operand in every operation.
_GOLDEN = np.array(sampling.GOLDEN, np.uint64)
_MIX_1 = np.array(sampling.MIX_1, np.uint64)
_MIX_2 = np.array(sampling.MIX_2, np.uint64)
_S30, _S27, _S31, _S11 = (np.array(number, np.uint64) for number in (30, 27, 31, 11))
_2_53 = np.array(2.0**-53)

# From this many rows on, adding column by column is faster than numpy's accumulate.
_MANY_ROWS = 256


def row_states(seeds: Sequence[int], first_indices: Sequence[int], counts: Sequence[int]) -> UInt64:
    """Returns the random state of each row [B]: mix64(mix64(seed + G) + (index + 1) G).

    All draws of a row start from it. Request r has counts[r] rows, with the sampling indices
    first_indices[r], first_indices[r] + 1, ...
    """
    if len(counts) == 1:
        begin = sampling.mix64((seeds[0] + sampling.GOLDEN) & MASK64)
        begin += (first_indices[0] + 1) * sampling.GOLDEN
        return _mix64(_steps(counts[0]) + np.uint64(begin & MASK64))
    starts = accumulate(counts, initial=0)
    firsts = [(first + 1 - start) & MASK64 for first, start in zip(first_indices, starts, strict=False)]
    begins = _mix64(np.array(seeds, np.uint64) + _GOLDEN)
    begins += np.array(firsts, np.uint64) * _GOLDEN
    total = sum(counts)
    if total > len(counts):
        begins = np.repeat(begins, counts)
    begins += _steps(total)
    return _mix64(begins)


def uniforms(states: UInt64, draw: int = 0) -> Float64:
    """Returns the uniform number in [0, 1) of draw `draw` for each row [B], from `states` [B].

    Integer arrays of numpy wrap modulo 2^64, as the definition demands.
    """
    h = _mix64(states + np.uint64((draw + 1) * sampling.GOLDEN & MASK64))
    h >>= _S11
    u: Float64 = h.astype(np.float64)
    u *= _2_53
    return u


@lru_cache(maxsize=4)
def _all_steps(power: int) -> UInt64:
    return np.arange(2**power, dtype=np.uint64) * _GOLDEN


def _steps(rows: int) -> UInt64:
    """Returns G times 0, 1, ..., [rows]. The array is cached and must not be changed."""
    steps = _all_steps(max(10, (rows - 1).bit_length()))
    return steps[:rows]


def choose(probs: Float32, u: Float64) -> Int64:
    """Returns the action of each row [B], from probabilities [B, n] and uniform numbers [B]."""
    sums = _running_sums(probs)  # [n, B]
    below = sums <= u * sums[-1]  # sums never fall, so the number of those below is the first index above
    actions: Int64 = np.add.reduce(below, axis=0, dtype=np.int64)
    if 1 in below[-1].tobytes():
        last_positive: Int64 = probs.shape[1] - 1 - (probs[:, ::-1] > 0).argmax(axis=1)
        actions = np.where(below[-1], last_positive, actions)
    return actions


def _running_sums(probs: Float32) -> Float64:
    """Returns the cumulative probabilities [n, B] of [B, n]: float64, in the actions' order."""
    sums: Float64 = np.array(probs.T, np.float64, order="C")
    if len(probs) < _MANY_ROWS:
        np.add.accumulate(sums, axis=0, out=sums)
    else:
        for before, column in pairwise(sums):
            np.add(column, before, out=column)
    return sums


def modes(probs: Float32) -> Int64:
    """Returns the index of each row's largest probability [B]; the first if several are equal."""
    indices: Int64 = probs.argmax(axis=1)
    return indices


def log_probs(probs: Float32, actions: Int64) -> Float32:
    """Returns the natural logarithm of each row's chosen probability [B].

    It is computed in float64, then rounded to float32.
    """
    flat = np.arange(0, probs.size, probs.shape[1])
    flat += actions
    chosen: Float32 = probs.ravel().take(flat)
    return np.log(chosen.astype(np.float64)).astype(np.float32)


def reweight(logits: Float32, temperature: float, mask: Bool | None) -> Float32:
    """Returns the probabilities after temperature and mask [B, n], from the logits [B, n].

    p_a = m_a exp((z_a - max z) / T) / sum_b m_b exp((z_b - max z) / T), with the maximum over the
    allowed actions, in float64, then rounded to float32. A masked action's probability is exactly
    0. Each row of `mask` must allow at least one action.
    """
    z: Float64 = logits.astype(np.float64)
    if mask is not None:
        z = np.where(mask, z, -np.inf)
    with np.errstate(invalid="ignore", over="ignore"):  # invalid logits give NaN, which the caller refuses
        z = (z - z.max(axis=1, keepdims=True)) / temperature
        weights: Float64 = np.exp(z)
        probs: Float64 = weights / weights.sum(axis=1, keepdims=True)
    return probs.astype(np.float32)


def _mix64(z: UInt64) -> UInt64:
    """Mixes in place, and returns the same array."""
    shifted = z >> _S30
    z ^= shifted
    z *= _MIX_1
    z ^= np.right_shift(z, _S27, shifted)
    z *= _MIX_2
    z ^= np.right_shift(z, _S31, shifted)
    return z
