"""The rollout buffer: arrays [T, N] allocated once and filled step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policyd_trainer.distributions.interface import Distribution
from policyd_trainer.environments.interface import Step


@dataclass(frozen=True)
class Rollout:
    """T steps of N environments, as views of a buffer. The next rollout overwrites them.

    Steps that are not `valid` (the environment resets, or waits for other episodes to end) have
    reward 0 and end no episode.
    """

    observations: np.ndarray  # [T + 1, N, D]: s_0 to s_{T-1}, which were acted on, and s_T
    actions: np.ndarray  # [T, N, *action_shape]
    rewards: np.ndarray  # [T, N] float32
    terminated: np.ndarray  # [T, N] bool
    truncated: np.ndarray  # [T, N] bool
    valid: np.ndarray  # [T, N] bool
    final_index: np.ndarray  # [K, 2]: (t, n) of truncated steps whose successor is not observations[t + 1]
    final_observations: np.ndarray  # [K, D]: their true successors
    # [T, N]: of the actions, under the policy that took them; None: the current policy took them.
    log_probs: np.ndarray | None = None

    @property
    def dones(self) -> np.ndarray:
        """Whether an episode ended in each step [T, N] bool."""
        dones: np.ndarray = self.terminated | self.truncated
        return dones

    @property
    def observed(self) -> np.ndarray:
        """The observations acted on in valid steps [B, D]."""
        if self.valid.all():
            rows: np.ndarray = self.observations[:-1].reshape(-1, self.observations.shape[-1])
        else:
            rows = self.observations[:-1][self.valid]
        return rows

    @property
    def steps(self) -> int:
        """How many environment steps were taken."""
        return int(self.valid.sum())


class RolloutBuffer:
    """Storage for up to `capacity` steps. Doubles its size if an episode is longer."""

    def __init__(
        self,
        capacity: int,
        n_envs: int,
        row_size: int,
        distribution: Distribution,
        dtype: type[np.generic] = np.float32,
    ) -> None:
        t, n = capacity, n_envs
        self.observations = np.zeros((t + 1, n, row_size), dtype)
        self.actions = np.zeros((t, n, *distribution.action_shape), distribution.action_dtype)
        self.rewards = np.zeros((t, n), np.float32)
        self.terminated = np.zeros((t, n), bool)
        self.truncated = np.zeros((t, n), bool)
        self.valid = np.zeros((t, n), bool)
        self._finals: list[tuple[int, int, np.ndarray]] = []

    @property
    def capacity(self) -> int:
        """The largest T."""
        return len(self.rewards)

    def begin(self, observations: np.ndarray) -> None:
        """Starts a rollout at observations [N, D]."""
        self.observations[0] = observations
        self._finals.clear()

    def store(self, t: int, actions: np.ndarray, step: Step) -> None:
        """Writes step t: the actions [N, ...] and their results."""
        self.actions[t] = actions
        self.observations[t + 1] = step.observations
        self.rewards[t] = step.rewards
        self.terminated[t] = step.terminated
        self.truncated[t] = step.truncated
        if step.valid is None:
            self.valid[t] = True
        else:
            self.valid[t] = step.valid
            self.rewards[t] *= step.valid
            self.terminated[t] &= step.valid
            self.truncated[t] &= step.valid
        if step.final_observations is not None and self.truncated[t].any():
            self._keep_finals(t, step.final_observations)

    def keep_final(self, t: int, n: int, row: np.ndarray) -> None:
        """Stores the true successor [D] of a step at which the time limit ended the episode."""
        self._finals.append((t, n, row))

    def grow(self) -> None:
        """Doubles the capacity and keeps what is stored."""
        t = self.capacity
        for name in ("observations", "actions", "rewards", "terminated", "truncated", "valid"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros((t, *old.shape[1:]), old.dtype)]))

    def rollout(self, length: int) -> Rollout:
        """The first `length` steps as a rollout."""
        row_size = self.observations.shape[-1]
        return Rollout(
            self.observations[: length + 1],
            self.actions[:length],
            self.rewards[:length],
            self.terminated[:length],
            self.truncated[:length],
            self.valid[:length],
            np.array([(t, n) for t, n, _ in self._finals], np.int64).reshape(-1, 2),
            np.array([row for _, _, row in self._finals], self.observations.dtype).reshape(-1, row_size),
        )

    def _keep_finals(self, t: int, finals: np.ndarray) -> None:
        for n in np.flatnonzero(self.truncated[t] & ~self.terminated[t]):
            self.keep_final(t, int(n), finals[n].copy())
