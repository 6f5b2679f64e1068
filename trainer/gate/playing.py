"""Plays challenger and champion on the same episodes, from the ONNX files that servers load."""

from __future__ import annotations

import numpy as np

from trainer.config import TrainingConfig
from trainer.environments.make import EnvironmentInfo, make_plain
from trainer.evaluation.episodes import play
from trainer.gate.decision import Play, Returns
from trainer.gate.intervals import Floats
from trainer.rollouts.policy import ActingPolicy

SIDE_BY_SIDE = 128  # episodes that are stepped together at most


def paired_play(
    config: TrainingConfig,
    info: EnvironmentInfo,
    challenger: ActingPolicy,
    champion: ActingPolicy,
    first: int,
) -> Play:
    """Episode i: an ordinary environment reset with seed first + i, and the same noise for sampling."""

    def returns(policy: ActingPolicy, indices: range, *, deterministic: bool) -> Floats:
        blocks = [
            _returns(config, info, policy, indices[start : start + SIDE_BY_SIDE], first, deterministic)
            for start in range(0, len(indices), SIDE_BY_SIDE)
        ]
        return np.concatenate(blocks)

    def play_both(indices: range) -> Returns:
        return Returns(
            challenger_greedy=returns(challenger, indices, deterministic=True),
            champion_greedy=returns(champion, indices, deterministic=True),
            challenger_sampled=returns(challenger, indices, deterministic=False),
            champion_sampled=returns(champion, indices, deterministic=False),
        )

    return play_both


def _returns(
    config: TrainingConfig,
    info: EnvironmentInfo,
    policy: ActingPolicy,
    indices: range,
    first: int,
    deterministic: bool,
) -> Floats:
    seeds = iter(range(first + indices.start, first + indices.stop))
    environments = make_plain(config, info, len(indices), seeds)
    try:
        seed, limit = first + indices.start, config.episode_step_limit
        played = play(environments, policy, seed, deterministic=deterministic, step_limit=limit)
        return played.returns.astype(np.float64)
    finally:
        environments.close()
