"""The collector that a configuration asks for, whole or for a part of its environments."""

from __future__ import annotations

from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.make import EnvironmentInfo, make_environments
from policyd_trainer.rollouts.buffer import RolloutBuffer
from policyd_trainer.rollouts.collector import LocalCollector

UNKNOWN_EPISODE_LENGTH = 1024  # first capacity of the buffer, in steps, if no time limit is known


def make_local(config: TrainingConfig, info: EnvironmentInfo, n_envs: int, first: int = 0) -> LocalCollector:
    """A collector in this process for environments [first, first + n_envs) of the run."""
    encoder = info.encoder
    steps = capacity(config, info)
    buffer = RolloutBuffer(steps, n_envs, encoder.size, info.codec.distribution, encoder.dtype)
    environments = make_environments(config, info, n_envs, first)
    return LocalCollector(
        environments, buffer, episodes=_episodes(config), step_limit=config.episode_step_limit
    )


def capacity(config: TrainingConfig, info: EnvironmentInfo) -> int:
    """Steps that a rollout has room for. With whole episodes the buffer may grow."""
    episodes = _episodes(config)
    if episodes is None:
        return config.n_steps
    return episodes * (info.max_episode_steps or UNKNOWN_EPISODE_LENGTH)


def _episodes(config: TrainingConfig) -> int | None:
    """Whole episodes of each environment per rollout.

    None if a rollout is a fixed number of steps.
    """
    return config.episodes_per_update // config.n_envs if config.whole_episodes else None
