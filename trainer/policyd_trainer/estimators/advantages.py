"""Advantages: temporal-difference errors and their exponentially weighted sums."""

from __future__ import annotations

import numpy as np

from policyd_trainer import compiled
from policyd_trainer.arrays import Array, is_compiled


def td_errors(rewards: Array, values: Array, next_values: Array, gamma: float) -> Array:
    """The TD errors delta_t = r_t + gamma V(s_{t+1}) - V(s_t), for t in [0, T). [T, N].

    Args:
        rewards: r_t [T, N].
        values: V(s_t) [T, N].
        next_values: V(s_{t+1}) of the true successor; 0 after a termination [T, N].
        gamma: discount in [0, 1].
    """
    return rewards + gamma * next_values - values


def gae(deltas: Array, dones: Array, gamma: float, gae_lambda: float) -> Array:
    """The advantages A_t = delta_t + gamma lambda (1 - done_t) A_{t+1}, A_T = 0. [T, N].

    Generalised advantage estimation, Schulman et al. 2016, equation 16, cut where an episode ends
    (by termination or truncation: what follows belongs to another episode). lambda 0 is the
    one-step TD error, lambda 1 the n-step return minus V(s_t).

    Args:
        deltas: td_errors [T, N].
        dones: 1.0 where step t ended its episode [T, N].
        gamma: discount in [0, 1].
        gae_lambda: weight of later errors in [0, 1].
    """
    if gae_lambda == 0.0:
        return deltas
    advantages = deltas + 0.0
    if isinstance(deltas, np.ndarray) and is_compiled(np, deltas):
        compiled.updates.accumulate(advantages, dones, gamma * gae_lambda)
        return advantages
    carry = gamma * gae_lambda * (1 - dones)  # [T, N]
    for t in range(len(deltas) - 2, -1, -1):
        advantages[t] += carry[t] * advantages[t + 1]
    return advantages


def normalized(advantages: Array, eps: float = 1e-8) -> Array:
    """The numbers (A - mean A) / (std A + eps) of a flat vector [B].

    std is the sample's standard deviation, with B - 1.
    """
    if len(advantages) < 2:
        return advantages
    centred = advantages - advantages.mean()
    deviation = ((centred * centred).sum() / (len(advantages) - 1)) ** 0.5
    return centred / (deviation + eps)
