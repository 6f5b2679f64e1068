"""Puts a run together: environments, collector, learner, loop."""

from __future__ import annotations

import numpy as np

from trainer.algorithms.acting import ActingCopy
from trainer.algorithms.build import build_learner, network_specs
from trainer.algorithms.loop import TrainingLoop
from trainer.arrays import resolve_device
from trainer.config import TrainingConfig
from trainer.environments.make import EnvironmentInfo
from trainer.networks.spec import NetworkSpec
from trainer.rollouts.collector import Collector
from trainer.rollouts.make import capacity, make_local
from trainer.rollouts.workers import WorkerCollector


def start(config: TrainingConfig, info: EnvironmentInfo) -> TrainingLoop:
    """The loop of a fresh run, its environments reset by the configuration's seed.

    Raises:
        InvalidArgument: the device is not there.
        EnvironmentFailed: the environments cannot be made or reset.
    """
    device = resolve_device(config.device)
    specs = network_specs(config, info.encoder.layout, info.codec.distribution)
    learner = build_learner(config, specs, info.codec.distribution, device)
    acting = ActingCopy(learner, specs.actor, config.ema_decay)
    collector = make_collector(config, info, specs.actor, acting.parameters)
    collector.reset(config.seed)
    return TrainingLoop(config, specs, learner, acting, collector)


def make_collector(
    config: TrainingConfig, info: EnvironmentInfo, actor: NetworkSpec, parameters: np.ndarray
) -> Collector:
    """The collector that the configuration asks for; workers act with `parameters` [P] as they then are."""
    if config.rollout_workers == 0:
        return make_local(config, info, config.n_envs)
    return WorkerCollector(config, actor, parameters, capacity(config, info))
