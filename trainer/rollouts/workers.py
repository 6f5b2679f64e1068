"""Collects in several processes, each returning whole rollouts of its part of the environments.

A rollout costs a message there and one back, so workers gain where it takes much longer than the
0.2 ms of the two: slow environments, many steps. The noise that actions are sampled with is drawn
here, and environments are seeded by their number in the run, so that plain environments give the same
rollouts with any number of workers.
"""

from __future__ import annotations

import multiprocessing
import pickle
import weakref
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np

from policy_api.errors import PolicydError
from trainer.config import TrainingConfig
from trainer.environments.errors import EnvironmentFailed
from trainer.networks.spec import NetworkSpec
from trainer.rollouts.buffer import Rollout
from trainer.rollouts.policy import ActingPolicy
from trainer.rollouts.worker import Order, Share, serve

GOODBYE = 5.0  # seconds that a worker has to end by itself


class WorkerCollector:
    """Owns its worker processes; they end with it, or with this process."""

    def __init__(
        self, config: TrainingConfig, actor: NetworkSpec, parameters: np.ndarray, capacity: int
    ) -> None:
        self._parameters = parameters  # [P], the actor's, read at each rollout
        self._capacity = capacity
        self._n_envs = config.n_envs
        self._rng = np.random.default_rng(0)
        workers = min(config.rollout_workers, config.n_envs)
        self._bounds = np.linspace(0, config.n_envs, workers + 1).astype(int)  # [W + 1]
        context = multiprocessing.get_context("spawn")
        self._processes: list[SpawnProcess] = []
        self._pipes: list[Connection] = []
        self._end = weakref.finalize(self, _end, self._pipes, self._processes)  # at exit too
        for first, end in zip(self._bounds[:-1].tolist(), self._bounds[1:].tolist(), strict=True):
            ours, theirs = context.Pipe()
            share = Share(config, actor, first, end - first)
            process = context.Process(target=serve, args=(theirs, share), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)
        self._answers()

    def reset(self, seed: int) -> None:
        """Starts all environments anew."""
        self._rng = np.random.default_rng([seed, 1])
        self._ask("reset", [seed] * len(self._pipes))

    def collect(self, policy: ActingPolicy) -> Rollout:
        """The next rollout, its parts side by side."""
        noise = policy.distribution.noise(self._rng, self._capacity, self._n_envs)
        orders = [
            Order(self._parameters, policy.scaling, noise[:, first:end])
            for first, end in zip(self._bounds[:-1], self._bounds[1:], strict=True)
        ]
        return side_by_side(self._ask("collect", orders))

    def snapshot(self) -> bytes | None:
        """Every worker's snapshot; None where one has none."""
        parts = self._ask("snapshot", [None] * len(self._pipes))
        return None if None in parts else pickle.dumps((self._rng, parts))

    def restore(self, snapshot: bytes) -> None:
        """Back to a snapshot of as many workers."""
        self._rng, parts = pickle.loads(snapshot)  # noqa: S301  this run wrote it
        self._ask("restore", parts)

    def close(self) -> None:
        """Ends the workers; those that do not end by themselves are killed."""
        self._end()

    def _ask(self, method: str, arguments: Sequence[Any]) -> list[Any]:
        for pipe, argument in zip(self._pipes, arguments, strict=True):
            try:
                pipe.send((method, argument))
            except OSError as error:
                raise EnvironmentFailed("a rollout worker ended unexpectedly") from error
        return self._answers()

    def _answers(self) -> list[Any]:
        """One answer of each worker; of several errors the first is raised."""
        answers = [self._answer(pipe) for pipe in self._pipes]
        for answer in answers:
            if isinstance(answer, PolicydError):
                raise answer
        return answers

    def _answer(self, pipe: Connection) -> Any:
        try:
            return pipe.recv()[1]
        except (EOFError, OSError):
            return EnvironmentFailed("a rollout worker ended unexpectedly")


def _end(pipes: list[Connection], processes: list[SpawnProcess]) -> None:
    """Hangs up, then waits, then kills."""
    for pipe in pipes:
        pipe.close()
    for process in processes:
        process.join(GOODBYE)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()


def side_by_side(parts: Sequence[Rollout]) -> Rollout:
    """Rollouts [T_i, N_i] as one [max T_i, sum N_i]; what shorter ones lack is not valid."""
    steps = max(len(part.rewards) for part in parts)
    starts = np.cumsum([0, *(part.rewards.shape[1] for part in parts)])
    shifts = [np.array([0, start]) for start in starts]
    index = [part.final_index + shift for part, shift in zip(parts, shifts, strict=False)]
    return Rollout(
        observations=_joined([part.observations for part in parts], steps + 1),
        actions=_joined([part.actions for part in parts], steps),
        rewards=_joined([part.rewards for part in parts], steps),
        terminated=_joined([part.terminated for part in parts], steps),
        truncated=_joined([part.truncated for part in parts], steps),
        valid=_joined([part.valid for part in parts], steps),
        final_index=np.concatenate(index),
        final_observations=np.concatenate([part.final_observations for part in parts]),
    )


def _joined(arrays: Sequence[np.ndarray], steps: int) -> np.ndarray:
    padded = [
        np.concatenate((array, np.zeros((steps - len(array), *array.shape[1:]), array.dtype)))
        if len(array) < steps
        else array
        for array in arrays
    ]
    return np.concatenate(padded, axis=1)
