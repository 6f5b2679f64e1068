"""Distributions and samples for whole batches: pure functions of arrays.

The same actions, bit for bit, as `policy_api.sampling` gives row by row; docs/SAMPLING.md is the definition.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policy_api import sampling

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

_GOLDEN = np.uint64(sampling.GOLDEN)
_MIX_1 = np.uint64(sampling.MIX_1)
_MIX_2 = np.uint64(sampling.MIX_2)
_S30, _S27, _S31, _S11 = (np.uint64(shift) for shift in (30, 27, 31, 11))
_ONE = np.uint64(1)


def uniforms(seeds: UInt64, rows: UInt64, draw: int = 0) -> Float64:
    """The uniform number of each row, [B], from its seed, [B], and its sampling index, [B].

    Integer arrays of numpy wrap modulo 2^64, which is what the definition asks for.
    """
    h = _mix64(seeds + _GOLDEN)
    h = _mix64(h + (rows + _ONE) * _GOLDEN)
    h = _mix64(h + np.uint64((draw + 1) * sampling.GOLDEN & sampling.MASK64))
    return (h >> _S11).astype(np.float64) * 2.0**-53


def choose(probs: Float32, u: Float64) -> Int64:
    """The action of each row, [B], from its probabilities, [B, n], and its uniform number, [B]."""
    sums: Float64 = probs.cumsum(axis=1, dtype=np.float64)  # [B, n]
    threshold: Float64 = u * sums[:, -1]  # [B]
    above: Bool = sums > threshold[:, None]
    actions: Int64 = above.argmax(axis=1)
    rounded = ~above[:, -1]
    if rounded.any():
        last_positive: Int64 = probs.shape[1] - 1 - (probs[:, ::-1] > 0).argmax(axis=1)
        actions = np.where(rounded, last_positive, actions)
    return actions


def modes(probs: Float32) -> Int64:
    """The index of each row's largest probability, [B]; of equal ones the first."""
    indices: Int64 = probs.argmax(axis=1)
    return indices


def log_probs(probs: Float32, actions: Int64) -> Float32:
    """Natural logarithm of each row's chosen probability, [B]: in float64, then rounded to float32."""
    chosen: Float32 = probs[np.arange(len(actions)), actions]
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
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    mixed: UInt64 = z ^ (z >> _S31)
    return mixed
