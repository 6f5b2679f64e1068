"""Plays one whole episode in each of many environments, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.environments.interface import Environments
from policyd_trainer.evaluation.reservoir import Reservoir
from policyd_trainer.rollouts.collector import never_ends
from policyd_trainer.rollouts.policy import ActingPolicy


@dataclass(frozen=True)
class EpisodeStats:
    """Returns and lengths of the E episodes that were played."""

    returns: np.ndarray  # [E], undiscounted
    lengths: np.ndarray  # [E], steps


def play(
    environments: Environments,
    policy: ActingPolicy,
    seed: int,
    *,
    deterministic: bool,
    step_limit: int,
    visited: Reservoir | None = None,
    each_step: Callable[[int], None] = lambda running: None,  # noqa: ARG005  ignores the number
) -> EpisodeStats:
    """Plays the first episode of each environment after a reset.

    Args:
        environments: E of them.
        policy: what acts.
        seed: for the environments' reset and for the sampling of actions.
        deterministic: whether to act by the distribution's mode instead of a sample.
        step_limit: an episode with more steps counts as never ending.
        visited: gets the observations that are acted on.
        each_step: called before each step with the number of episodes that still run.

    Raises:
        EnvironmentFailed: an environment raised, or returned NaN or the wrong shape.
        EnvironmentNeverEnds: an episode is longer than the limit.
    """
    n = environments.n_envs
    rng = np.random.default_rng([seed, 7])
    returns, lengths = np.zeros(n), np.zeros(n, np.int64)
    observations, active = environments.reset(seed), np.ones(n, bool)
    while active.any():
        each_step(int(active.sum()))
        if visited is not None:
            visited.offer(observations[active])
        if deterministic:
            actions = policy.mode(observations)
        else:
            actions = policy.sample(observations, policy.distribution.noise(rng, 1, n)[0])
        step = environments.step(actions, active, np.ones(n, bool))
        if not (np.isfinite(step.observations).all() and np.isfinite(step.rewards).all()):
            raise EnvironmentFailed("in evaluation the environment returned a number that is not finite")
        returns += np.where(active, step.rewards, 0.0)
        lengths += active
        active &= ~(step.terminated | step.truncated)
        observations = step.observations
        if lengths.max() > step_limit:
            raise never_ends(step_limit)
    return EpisodeStats(returns, lengths)
