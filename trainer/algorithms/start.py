"""Puts a run together: environments, collector, learner, loop."""

from __future__ import annotations

from trainer.algorithms.build import build_learner, network_specs
from trainer.algorithms.loop import TrainingLoop
from trainer.arrays import resolve_device
from trainer.config import TrainingConfig
from trainer.environments.make import EnvironmentInfo, make_environments
from trainer.rollouts.buffer import RolloutBuffer
from trainer.rollouts.collector import Collector, LocalCollector

UNKNOWN_EPISODE_LENGTH = 1024  # first capacity of the buffer, steps, where no time limit is known


def start(config: TrainingConfig, info: EnvironmentInfo) -> TrainingLoop:
    """The loop of a fresh run, its environments reset by the configuration's seed.

    Raises:
        InvalidArgument: the device is not there.
        EnvironmentFailed: the environments cannot be made or reset.
    """
    device = resolve_device(config.device)
    specs = network_specs(config, info.encoder.layout, info.codec.distribution)
    learner = build_learner(config, specs, info.codec.distribution, device)
    collector = make_collector(config, info)
    collector.reset(config.seed)
    return TrainingLoop(config, specs, learner, collector)


def make_collector(config: TrainingConfig, info: EnvironmentInfo) -> Collector:
    """The collector that the configuration asks for."""
    episodes = config.episodes_per_update // config.n_envs if config.whole_episodes else None
    if episodes is None:
        capacity = config.n_steps
    else:
        capacity = episodes * (info.max_episode_steps or UNKNOWN_EPISODE_LENGTH)
    buffer = RolloutBuffer(capacity, config.n_envs, info.encoder.size, info.codec.distribution)
    environments = make_environments(config, info, config.n_envs)
    return LocalCollector(environments, buffer, episodes=episodes, step_limit=config.episode_step_limit)
