"""A rollout worker: a part of the run's environments, and a copy of the policy in numpy.

It runs in a process beside the learner (`serve`), or in an actor of a Ray cluster (`actors`).
"""

from __future__ import annotations

import faulthandler
import signal
from contextlib import suppress
from ctypes import Array, c_ubyte
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, Literal, Protocol

import numpy as np

from policyd.errors import PolicydError
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.environments.make import inspect
from policyd_trainer.environments.watchdog import Watchdog
from policyd_trainer.estimators.normalization import ObservationScaling
from policyd_trainer.guardian.board import BOARD
from policyd_trainer.networks.host import host_outputs
from policyd_trainer.networks.spec import NetworkSpec
from policyd_trainer.rollouts.buffer import Rollout
from policyd_trainer.rollouts.collector import LocalCollector
from policyd_trainer.rollouts.make import make_local
from policyd_trainer.rollouts.policy import ActingPolicy

Method = Literal["reset", "collect", "snapshot", "restore", "score"]
Answer = Any  # a result or argument of a method


class Worker(Protocol):
    """Does what the crew asks: each Method is a method with one argument."""

    def close(self) -> None:
        """Frees its environments."""


class Task(Protocol):
    """What a worker process gets when it starts. It is pickled."""

    @property
    def config(self) -> TrainingConfig:
        """The run's configuration."""

    def worker(self) -> Worker:
        """Makes the worker, in its process.

        Raises:
            EnvironmentFailed: its environments cannot be made.
        """


@dataclass(frozen=True)
class Share:
    """What one rollout worker gets when it starts."""

    config: TrainingConfig
    actor: NetworkSpec
    first: int  # number of its first environment
    count: int

    def worker(self) -> RolloutWorker:
        """See `Task`."""
        return RolloutWorker(self)


@dataclass(frozen=True)
class Order:
    """What a worker needs for one rollout: the policy as it is now, and the noise to act with."""

    parameters: np.ndarray  # [P]
    scaling: ObservationScaling | None
    noise: np.ndarray  # [T, count, ...]
    with_log_probs: bool = False  # whether the rollout is to have the log-probabilities of its actions


def serve(connection: Connection, task: Task, board: Array[c_ubyte]) -> None:
    """Responds to (method, argument) with (True, result) or (False, error) until the pipe closes.

    It writes to `board` which call into the environment is running.
    """
    BOARD.write_to(memoryview(board))
    with suppress(OSError, ValueError):  # there may be no standard error
        faulthandler.enable()
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal signals the whole group; the learner decides
        signal.signal(number, signal.SIG_IGN)
    with Watchdog(task.config.step_timeout, task.config.env_id):
        _serve(connection, task)


def _serve(connection: Connection, task: Task) -> None:
    try:
        worker = task.worker()
    except PolicydError as error:
        connection.send((False, error))
        return
    connection.send((True, None))
    while True:
        try:
            method, argument = connection.recv()
        except EOFError:
            break
        connection.send(answered(worker, method, argument))
    worker.close()


class RolloutWorker:
    """Steps environments [first, first + count) of the run. A crew calls its methods."""

    def __init__(self, share: Share) -> None:
        info = inspect(share.config)
        self._distribution = info.codec.distribution
        self._parameters = np.zeros(share.actor.size, np.float32)
        self._outputs = host_outputs(share.actor, self._parameters)
        self.collector: LocalCollector = make_local(share.config, info, share.count, share.first)

    def collect(self, order: Order) -> Rollout:
        """Collects the next rollout of its environments."""
        self._parameters[:] = order.parameters
        policy = ActingPolicy(self._outputs, self._distribution, order.scaling)
        rollout = self.collector.collect(policy, order.noise)
        return replace(rollout, log_probs=log_probs_of(policy, rollout)) if order.with_log_probs else rollout

    def reset(self, seed: int) -> None:
        """Resets its environments."""
        self.collector.reset(seed)

    def snapshot(self, _: None) -> bytes | None:
        """See `Collector`."""
        return self.collector.snapshot()

    def restore(self, saved: bytes) -> None:
        """See `Collector`."""
        self.collector.restore(saved)

    def close(self) -> None:
        """See `Worker`."""
        self.collector.close()


def log_probs_of(policy: ActingPolicy, rollout: Rollout) -> np.ndarray:
    """The log-probabilities log pi(a_t|s_t) [T, N], under the policy that took the actions."""
    rows = rollout.observations[:-1].reshape(-1, rollout.observations.shape[-1])
    actions = rollout.actions.reshape(-1, *rollout.actions.shape[2:])
    return policy.log_probs(rows, actions).reshape(rollout.rewards.shape)


def answered(worker: Worker, method: Method, argument: Answer) -> tuple[bool, Answer]:
    """Calls the worker's method: True and the result, or False and the error."""
    try:
        return True, getattr(worker, method)(argument)
    except PolicydError as error:
        return False, error
    except Exception as error:  # noqa: BLE001  sent to the learner, which ends the run
        return False, EnvironmentFailed(f"a rollout worker failed with {error!r}")
