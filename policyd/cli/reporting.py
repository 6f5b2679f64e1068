"""Plays episodes and reports them: what `policyctl play --report` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from policyd import spaces
from policyd.cli.episodes import EpisodePlan, EpisodeStats, allowed_actions, environment, playable, width_of
from policyd.client.client import PolicyClient
from policyd.client.episodes import Episode


def play(client: PolicyClient, plan: EpisodePlan) -> EpisodeStats:
    """Plays every episode to its end, one after the other, and reports each step.

    The sampling seeds follow from the episodes' ids. These are new in each run, so two runs never
    report the same decisions. Raises the errors of `client.episode`.
    """
    played = EpisodeStats(plan.version)
    world = environment(plan)
    try:
        for number in range(plan.episodes):
            with client.episode(plan.policy) as episode:
                total, length = _play(episode, plan, world, plan.seed + number)
            played.returns.append(total)
            played.lengths.append(length)
    finally:
        world.close()
    return played


def _play(episode: Episode, plan: EpisodePlan, world: Any, seed: int) -> tuple[float, int]:
    """Plays one episode; returns its undiscounted return and its length."""
    flat = _flattener(plan)
    observation, info = world.reset(seed=seed)
    total, length, over = 0.0, 0, False
    while not over:
        mask = None
        if plan.spaces.has_action_mask:
            mask = allowed_actions(world, observation, info, width_of(plan))[None]
        action = episode.act(flat(observation), version=plan.version, action_mask=mask)
        played = playable(plan.spaces.action_space, np.asarray(action))
        observation, reward, terminated, truncated, info = world.step(played)
        episode.reward(
            float(reward), terminated=terminated, truncated=truncated, observation=flat(observation)
        )
        total, length, over = total + float(reward), length + 1, terminated or truncated
    return total, length


def _flattener(plan: EpisodePlan) -> Callable[[Any], np.ndarray]:
    """Returns a function from an observation to the row of numbers that the policy takes."""
    parts = spaces.leaves(plan.spaces.observation_space)
    return lambda observation: spaces.flatten(parts, observation)
