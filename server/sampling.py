"""Distributions and samples for whole batches: pure functions of arrays.

The same actions, bit for bit, as `policy_api.sampling` gives row by row; docs/SAMPLING.md is the definition.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from policy_api import sampling

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

MASK64 = sampling.MASK64

# Arrays without dimensions: numpy converts a scalar operand anew in every operation.
_GOLDEN = np.array(sampling.GOLDEN, np.uint64)
_MIX_1 = np.array(sampling.MIX_1, np.uint64)
_MIX_2 = np.array(sampling.MIX_2, np.uint64)
_S30, _S27, _S31, _S11, _ONE = (np.array(number, np.uint64) for number in (30, 27, 31, 11, 1))

# From so many rows on, adding column by column is faster than numpy's accumulate.
_MANY_ROWS = 256


def uniforms(seeds: UInt64, rows: UInt64, draw: int = 0) -> Float64:
    """The uniform number of each row, [B], from its seed, [B], and its sampling index, [B].

    Integer arrays of numpy wrap modulo 2^64, which is what the definition asks for.
    """
    h = _mix64(seeds + _GOLDEN)
    h += (rows + _ONE) * _GOLDEN
    h = _mix64(h)
    h += np.array((draw + 1) * sampling.GOLDEN & sampling.MASK64, np.uint64)
    h = _mix64(h)
    h >>= _S11
    u: Float64 = h.astype(np.float64)
    u *= 2.0**-53
    return u


def choose(probs: Float32, u: Float64) -> Int64:
    """The action of each row, [B], from its probabilities, [B, n], and its uniform number, [B]."""
    sums = _running_sums(probs)  # [n, B]
    below = sums <= u * sums[-1]  # sums never fall: how many are below is the first index above
    actions: Int64 = np.add.reduce(below, axis=0, dtype=np.int64)
    if below[-1].any():
        last_positive: Int64 = probs.shape[1] - 1 - (probs[:, ::-1] > 0).argmax(axis=1)
        actions = np.where(below[-1], last_positive, actions)
    return actions


def _running_sums(probs: Float32) -> Float64:
    """Cumulative probabilities, [n, B], of [B, n]: float64, added in the order of the actions."""
    sums: Float64 = np.array(probs.T, np.float64, order="C")
    if len(probs) < _MANY_ROWS:
        np.add.accumulate(sums, axis=0, out=sums)
    else:
        for before, column in pairwise(sums):
            np.add(column, before, out=column)
    return sums


def modes(probs: Float32) -> Int64:
    """The index of each row's largest probability, [B]; of equal ones the first."""
    indices: Int64 = probs.argmax(axis=1)
    return indices


def log_probs(probs: Float32, actions: Int64) -> Float32:
    """Natural logarithm of each row's chosen probability, [B]: in float64, then rounded to float32."""
    flat = np.arange(0, probs.size, probs.shape[1])
    flat += actions
    chosen: Float32 = probs.ravel().take(flat)
    return np.log(chosen.astype(np.float64)).astype(np.float32)


def sample_one(probs: Float32, seed: int, row: int) -> tuple[int, np.float32]:
    """One row's action and log-probability, [1, n] -> (action, ln p): `choose` without array overhead."""
    values: list[float] = probs[0].tolist()
    action = sampling.choose(values, sampling.uniform(seed, row))
    return action, np.float32(np.log(values[action]))


def reweight(logits: Float32, temperature: float, mask: Bool | None) -> Float32:
    """Probabilities after temperature and mask, [B, n], from the logits, [B, n].

    p_a = m_a exp((z_a - max z) / T) / sum_b m_b exp((z_b - max z) / T), the maximum over the allowed
    actions, in float64; then rounded to float32. A masked action's probability is exactly 0. Each row of
    `mask` allows at least one action.
    """
    z: Float64 = logits.astype(np.float64)
    if mask is not None:
        z = np.where(mask, z, -np.inf)
    z = (z - z.max(axis=1, keepdims=True)) / temperature
    weights: Float64 = np.exp(z)
    probs: Float64 = weights / weights.sum(axis=1, keepdims=True)
    return probs.astype(np.float32)


def _mix64(z: UInt64) -> UInt64:
    """Mixes in place."""
    z ^= z >> _S30
    z *= _MIX_1
    z ^= z >> _S27
    z *= _MIX_2
    z ^= z >> _S31
    return z
