"""Slow oracles: the estimates as their papers write them, one episode and one step at a time."""

from __future__ import annotations

import math

import numpy as np

from policyd.evidence.logs import Logs


def ips(logs: Logs) -> float:
    """The mean over episodes of sum_t rho_t r_t."""
    total = 0.0
    for rewards, ratios in zip(logs.rewards, logs.log_ratios, strict=True):
        weight = 1.0
        for reward, ratio in zip(rewards, ratios, strict=True):
            weight *= math.exp(ratio)
            total += weight * reward
    return total / len(logs)


def self_normalised_ips(logs: Logs) -> float:
    """The number sum_t (sum_i rho_it r_it) / (sum_i rho_it)."""
    total, weights = 0.0, np.ones(len(logs))
    for step in range(logs.horizon):
        weights = weights * np.exp(logs.log_ratios[:, step])
        total += float((weights * logs.rewards[:, step]).sum() / weights.sum())
    return total


def doubly_robust(logs: Logs, q: np.ndarray, v: np.ndarray) -> list[float]:
    """Jiang and Li's recursion, V_t = v_t + ratio_t (r_t + V_{t+1} - q_t), from the last step back.

    `q`, `v`: [N, T].
    """
    found = []
    for episode in range(len(logs)):
        value = 0.0
        for step in reversed(range(logs.horizon)):
            if logs.valid[episode, step]:
                ratio = math.exp(logs.log_ratios[episode, step])
                surprise = logs.rewards[episode, step] + value - q[episode, step]
                value = v[episode, step] + ratio * surprise
        found.append(value)
    return found
