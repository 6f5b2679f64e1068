"""A rollout worker's process: a part of the run's environments, and a copy of the policy in numpy."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from policy_api.errors import PolicydError
from trainer.config import TrainingConfig
from trainer.environments.errors import EnvironmentFailed
from trainer.environments.make import inspect
from trainer.environments.watchdog import Watchdog
from trainer.estimators.normalization import ObservationScaling
from trainer.networks.host import host_outputs
from trainer.networks.spec import NetworkSpec
from trainer.rollouts.collector import LocalCollector
from trainer.rollouts.make import make_local
from trainer.rollouts.policy import ActingPolicy


@dataclass(frozen=True)
class Share:
    """What one worker is told when it starts."""

    config: TrainingConfig
    actor: NetworkSpec
    first: int  # the first of its environments
    count: int


@dataclass(frozen=True)
class Order:
    """One rollout: the policy as it is now, and the noise to act with."""

    parameters: np.ndarray  # [P]
    scaling: ObservationScaling | None
    noise: np.ndarray  # [T, count, ...]


def serve(connection: Connection, share: Share) -> None:
    """Answers (method, argument) messages with (True, result) or (False, error), until the pipe closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # may be sent to the whole group: the learner decides
        signal.signal(number, signal.SIG_IGN)
    with Watchdog(share.config.step_timeout, share.config.env_id):
        _serve(connection, share)


def _serve(connection: Connection, share: Share) -> None:
    try:
        worker = _Worker(share)
    except PolicydError as error:
        connection.send((False, error))
        return
    connection.send((True, None))
    while True:
        try:
            method, argument = connection.recv()
        except EOFError:
            break
        connection.send(_answer(worker, method, argument))
    worker.collector.close()


class _Worker:
    def __init__(self, share: Share) -> None:
        info = inspect(share.config)
        self._distribution = info.codec.distribution
        self._parameters = np.zeros(share.actor.size, np.float32)
        self._outputs = host_outputs(share.actor, self._parameters)
        self.collector: LocalCollector = make_local(share.config, info, share.count, share.first)

    def collect(self, order: Order) -> Any:
        self._parameters[:] = order.parameters
        policy = ActingPolicy(self._outputs, self._distribution, order.scaling)
        return self.collector.collect(policy, order.noise)

    def reset(self, seed: int) -> None:
        self.collector.reset(seed)

    def snapshot(self, _: None) -> bytes | None:
        return self.collector.snapshot()

    def restore(self, saved: bytes) -> None:
        self.collector.restore(saved)


def _answer(worker: _Worker, method: str, argument: Any) -> tuple[bool, Any]:
    try:
        return True, getattr(worker, method)(argument)
    except PolicydError as error:
        return False, error
    except Exception as error:  # noqa: BLE001  it is told to the learner, which ends the run
        return False, EnvironmentFailed(f"a rollout worker failed with {error!r}")
