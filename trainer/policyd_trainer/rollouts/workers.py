"""Collects with several workers, each returning whole rollouts of its part of the environments.

A rollout costs a message there and one back, so workers gain where it takes much longer than the
0.2 ms of the two (processes) or 5 ms (Ray): slow environments, many steps. The noise that actions
are sampled with is drawn here, and environments are seeded by their number in the run, so that
plain environments give the same rollouts with any number of workers, wherever they run.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from policyd.runtime.cpus import usable_cpus
from policyd_trainer.config import TrainingConfig
from policyd_trainer.networks.spec import NetworkSpec
from policyd_trainer.rollouts.buffer import Rollout
from policyd_trainer.rollouts.policy import ActingPolicy
from policyd_trainer.rollouts.worker import Answer, Method, Order, Share

PAIR = 2  # workers that `auto` starts


class Crew(Protocol):
    """Rollout workers. Each got its share when the crew was made."""

    def ask(self, method: Method, arguments: Sequence[Answer]) -> list[Answer]:
        """Calls the method of every worker, each with its own argument.

        Returns one result per worker.

        Raises:
            EnvironmentFailed: a worker has ended. Otherwise the first error of a worker.
        """

    def close(self) -> None:
        """Ends the workers. Kills those that do not end by themselves."""


class WorkerCollector:
    """Collects with a crew that it owns."""

    def __init__(
        self, config: TrainingConfig, crew: Crew, bounds: np.ndarray, parameters: np.ndarray, capacity: int
    ) -> None:
        """`bounds` [W + 1]: worker w has the environments bounds[w] to bounds[w + 1] - 1."""
        self._crew, self._bounds = crew, bounds
        self._parameters = parameters  # [P], the actor's; read at each rollout
        self._capacity = capacity
        self._n_envs = config.n_envs
        self._workers = len(bounds) - 1
        self._rng = np.random.default_rng(0)

    def reset(self, seed: int) -> None:
        """Resets all environments."""
        self._rng = np.random.default_rng([seed, 1])
        self._crew.ask("reset", [seed] * self._workers)

    def collect(self, policy: ActingPolicy) -> Rollout:
        """Collects the next rollout. Joins the workers' parts side by side."""
        return self.played(self.orders(policy))

    def orders(self, policy: ActingPolicy, *, with_log_probs: bool = False) -> list[Order]:
        """What each worker needs for the next rollout, with the policy as it is now."""
        noise = policy.distribution.noise(self._rng, self._capacity, self._n_envs)
        parameters = self._parameters.copy()  # the learner goes on, and a lost rollout is replayed with them
        return [
            Order(parameters, policy.scaling, noise[:, first:end], with_log_probs)
            for first, end in zip(self._bounds[:-1], self._bounds[1:], strict=True)
        ]

    def played(self, orders: Sequence[Order]) -> Rollout:
        """The rollout that was ordered, with the workers' parts side by side."""
        return side_by_side(self._crew.ask("collect", orders))

    def snapshot(self) -> bytes | None:
        """Every worker's snapshot; None if a worker has none."""
        parts = self._crew.ask("snapshot", [None] * self._workers)
        return None if None in parts else pickle.dumps((self._rng, parts))

    def restore(self, snapshot: bytes) -> None:
        """Goes back to a snapshot of the same number of workers."""
        self._rng, parts = pickle.loads(snapshot)  # noqa: S301  this run wrote it
        self._crew.ask("restore", parts)

    def close(self) -> None:
        """Ends the workers."""
        self._crew.close()


def workers_of(config: TrainingConfig) -> int:
    """How many workers collect; 0 means this process. There is at most one per environment."""
    wanted = config.rollout_workers
    if wanted == "auto":
        wanted = PAIR if min(usable_cpus(), config.n_envs) >= PAIR else 0
    return min(wanted, config.n_envs)


def bounds_of(config: TrainingConfig) -> np.ndarray:
    """Where each worker's environments begin, and where the last one's end [W + 1]."""
    return np.linspace(0, config.n_envs, workers_of(config) + 1).astype(int)


def shares_of(config: TrainingConfig, actor: NetworkSpec) -> list[Share]:
    """What each worker gets when it starts."""
    bounds = bounds_of(config).tolist()
    return [Share(config, actor, first, end - first) for first, end in itertools.pairwise(bounds)]


def side_by_side(parts: Sequence[Rollout]) -> Rollout:
    """Joins rollouts [T_i, N_i] to one [max T_i, sum N_i]. Missing steps are not valid."""
    steps = max(len(part.rewards) for part in parts)
    starts = np.cumsum([0, *(part.rewards.shape[1] for part in parts)])
    shifts = [np.array([0, start]) for start in starts]
    known = [part.log_probs for part in parts if part.log_probs is not None]
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
        log_probs=_joined(known, steps) if len(known) == len(parts) else None,
    )


def _joined(arrays: Sequence[np.ndarray], steps: int) -> np.ndarray:
    padded = [
        np.concatenate((array, np.zeros((steps - len(array), *array.shape[1:]), array.dtype)))
        if len(array) < steps
        else array
        for array in arrays
    ]
    return np.concatenate(padded, axis=1)
