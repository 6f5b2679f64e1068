"""Fills the buffer by acting in environments of this process."""

from __future__ import annotations

import pickle
from typing import Protocol

import numpy as np

from policyd_trainer.environments.errors import EnvironmentFailed, EnvironmentNeverEnds
from policyd_trainer.environments.interface import Environments
from policyd_trainer.rollouts.buffer import Rollout, RolloutBuffer
from policyd_trainer.rollouts.fused import collect_compiled
from policyd_trainer.rollouts.policy import ActingPolicy


class Collector(Protocol):
    """Collects whole rollouts, one at a time."""

    def reset(self, seed: int) -> None:
        """Resets all environments. The seed determines everything after it."""

    def collect(self, policy: ActingPolicy) -> Rollout:
        """Collects the next rollout, which is valid until the next call.

        Raises:
            EnvironmentFailed: an environment raised, or returned NaN or the wrong shape.
            EnvironmentNeverEnds: an episode is longer than the limit.
        """

    def snapshot(self) -> bytes | None:
        """Everything that determines later rollouts; None if an environment cannot be saved."""

    def restore(self, snapshot: bytes) -> None:
        """Goes back to a snapshot."""

    def close(self) -> None:
        """Frees environments and processes."""


class LocalCollector:
    """Collects in this process.

    With `episodes` set, every environment plays that many whole episodes per rollout, each from one
    reset. Otherwise a rollout is `capacity` steps of each environment, and episodes go on across
    rollouts.
    """

    def __init__(
        self, environments: Environments, buffer: RolloutBuffer, *, episodes: int | None, step_limit: int
    ) -> None:
        self._environments, self._buffer = environments, buffer
        self._episodes, self._step_limit = episodes, step_limit
        self._rng = np.random.default_rng(0)
        self._observations = np.zeros(0, np.float32)  # [N, D], the observations to act on next
        self._lengths = np.zeros(environments.n_envs, np.int64)  # [N], of the running episodes

    def reset(self, seed: int) -> None:
        """Resets all environments."""
        self._rng = np.random.default_rng([seed, 1])
        self._observations = self._environments.reset(seed)
        self._lengths[:] = 0

    def collect(self, policy: ActingPolicy, noise: np.ndarray | None = None) -> Rollout:
        """Collects the next rollout with `noise` [capacity, N, ...], or draws the noise itself."""
        if noise is None:
            noise = self._noise(policy, self._buffer.capacity)
        if self._episodes is None:
            self._buffer.begin(self._observations)
            length = self._collect_steps(policy, noise)
        else:
            length = self._collect_episodes(policy, noise, self._episodes)
        rollout = self._buffer.rollout(length)
        self._observations = rollout.observations[-1].copy()
        check_finite(rollout)
        self._check_lengths(rollout)
        return rollout

    def snapshot(self) -> bytes | None:
        """The environments, the generator and the observations to act on next."""
        environments = self._environments.snapshot()
        if environments is None:
            return None
        return pickle.dumps((environments, self._rng, self._observations, self._lengths))

    def restore(self, snapshot: bytes) -> None:
        """Goes back to a snapshot."""
        state = pickle.loads(snapshot)  # noqa: S301  this run wrote it
        environments, self._rng, self._observations, self._lengths = state
        self._environments.restore(environments)

    def close(self) -> None:
        """Closes the environments."""
        self._environments.close()

    def _collect_steps(self, policy: ActingPolicy, noise: np.ndarray) -> int:
        buffer, environments = self._buffer, self._environments
        if collect_compiled(environments, policy, noise, buffer):
            return buffer.capacity
        for t in range(buffer.capacity):
            actions = policy.sample(buffer.observations[t], noise[t])
            buffer.store(t, actions, environments.step(actions))
        return buffer.capacity

    def _collect_episodes(self, policy: ActingPolicy, noise: np.ndarray, episodes: int) -> int:
        buffer, environments = self._buffer, self._environments
        left = np.full(environments.n_envs, episodes)  # [N], episodes that are still to end
        buffer.begin(self._environments.reset(None))
        self._lengths[:] = 0
        t = 0
        while (left > 0).any():
            if t == buffer.capacity:
                buffer.grow()
            if t == len(noise):
                noise = np.concatenate([noise, self._noise(policy, t)])
            actions = policy.sample(buffer.observations[t], noise[t])
            buffer.store(t, actions, environments.step(actions, left > 0, left == 1))
            left -= buffer.terminated[t] | buffer.truncated[t]
            t += 1
            if t > self._step_limit * episodes:
                raise never_ends(self._step_limit)
        return t

    def _noise(self, policy: ActingPolicy, steps: int) -> np.ndarray:
        return policy.distribution.noise(self._rng, steps, self._environments.n_envs)

    def _check_lengths(self, rollout: Rollout) -> None:
        dones, length = rollout.dones, len(rollout.rewards)
        ended = dones.any(axis=0)  # [N]
        since_end = dones[::-1].argmax(axis=0)  # [N], steps after the last end
        self._lengths = np.where(ended, since_end, self._lengths + length)
        if self._lengths.max() > self._step_limit and self._episodes is None:
            raise never_ends(self._step_limit)


def check_finite(rollout: Rollout) -> None:
    """Raises EnvironmentFailed if an observation or reward is NaN or infinite."""
    for name in ("rewards", "observations", "final_observations"):
        array = getattr(rollout, name)
        if not np.isfinite(array).all():
            where = np.argwhere(~np.isfinite(array))[0].tolist()
            raise EnvironmentFailed(
                f"the environment returned {array[tuple(where)]} in its {name} "
                f"(step {where[0]} of the rollout, environment {where[1]}), expected finite numbers"
            )


def never_ends(limit: int) -> EnvironmentNeverEnds:
    """The error for an episode that does not end."""
    return EnvironmentNeverEnds(
        f"an episode ran for more than {limit} steps without ending; "
        "give the environment a time limit (setting max_episode_steps) or raise episode_step_limit"
    )
