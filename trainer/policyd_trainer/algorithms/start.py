"""Puts a run together: environments, collector, learner, loop."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence

import numpy as np

from policyd.errors import FailedPrecondition
from policyd_trainer.algorithms.acting import ActingCopy
from policyd_trainer.algorithms.build import build_learner, network_specs
from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.arrays import resolve_device
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.make import EnvironmentInfo
from policyd_trainer.environments.process_settings import own_settings
from policyd_trainer.networks.spec import NetworkSpec
from policyd_trainer.rollouts.ahead import AheadCollector
from policyd_trainer.rollouts.collector import Collector
from policyd_trainer.rollouts.make import capacity, make_local
from policyd_trainer.rollouts.processes import ProcessCrew
from policyd_trainer.rollouts.worker import Share
from policyd_trainer.rollouts.workers import Crew, WorkerCollector, bounds_of, shares_of, workers_of


def start(config: TrainingConfig, info: EnvironmentInfo) -> TrainingLoop:
    """The loop of a fresh run. Its environments are reset with the configuration's seed.

    Raises:
        InvalidArgument: the device is not there.
        FailedPrecondition: rollouts are to run on Ray, and there is no cluster.
        EnvironmentFailed: the environments cannot be made or reset.
    """
    device = resolve_device(config.device)
    specs = network_specs(config, info.encoder.layout, info.codec.distribution)
    with own_settings():
        learner = build_learner(config, specs, info.codec.distribution, device)
        acting = ActingCopy(learner, specs.actor, config.ema_decay)
    collector = make_collector(config, info, specs.actor, acting.parameters)
    collector.reset(config.seed)
    return TrainingLoop(config, specs, learner, acting, collector)


def make_collector(
    config: TrainingConfig, info: EnvironmentInfo, actor: NetworkSpec, parameters: np.ndarray
) -> Collector:
    """The collector that the configuration asks for.

    Its worker processes act with the `parameters` [P] that it is given, as these are when a rollout
    starts.
    """
    if workers_of(config) == 0:
        return make_local(config, info, config.n_envs)
    crew = _crew(config)(shares_of(config, actor))
    workers = WorkerCollector(config, crew, bounds_of(config), parameters, capacity(config, info))
    return AheadCollector(workers) if config.collect_ahead else workers


def _crew(config: TrainingConfig) -> Callable[[Sequence[Share]], Crew]:
    if config.rollout_backend == "processes":
        return ProcessCrew
    if importlib.util.find_spec("ray") is None:
        message = "rollout_backend: `ray` needs an extra: pip install 'policyd[trainer,ray]'"
        raise FailedPrecondition(message, reason="NO_RAY")
    from policyd_trainer.rollouts.actors import ActorCrew  # noqa: PLC0415 -- an extra

    return ActorCrew
