"""Plays challenger and champion on the same episodes, from the ONNX files that servers load."""

from __future__ import annotations

import numpy as np

from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.make import EnvironmentInfo, make_seeded
from policyd_trainer.evaluation.budget import Budget
from policyd_trainer.evaluation.episodes import play
from policyd_trainer.gate.decision import Play, Returns
from policyd_trainer.gate.intervals import Floats
from policyd_trainer.rollouts.policy import ActingPolicy

SIDE_BY_SIDE = 128  # most episodes that are stepped together


def paired_play(
    config: TrainingConfig,
    info: EnvironmentInfo,
    challenger: ActingPolicy,
    champion: ActingPolicy,
    first: int,
    budget: Budget,
) -> Play:
    """A function that plays episodes with both policies.

    Episode i starts with reset(seed=first + i) and has the same noise for sampling in both.
    """
    together = budget.side_by_side(SIDE_BY_SIDE, is_vector=info.form is not None)

    def returns(policy: ActingPolicy, indices: range, *, deterministic: bool) -> Floats:
        blocks = [
            _returns(config, info, policy, indices[start : start + together], first, deterministic, budget)
            for start in range(0, len(indices), together)
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
    budget: Budget,
) -> Floats:
    environments = make_seeded(config, info, range(first + indices.start, first + indices.stop))
    try:
        seed, limit = first + indices.start, config.episode_step_limit
        played = play(
            environments,
            policy,
            seed,
            deterministic=deterministic,
            step_limit=limit,
            each_step=budget.step,
        )
        return played.returns.astype(np.float64)
    finally:
        environments.close()
