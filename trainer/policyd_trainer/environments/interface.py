"""What collecting a rollout needs of environments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(slots=True)
class Step:
    """One step of N environments.

    `observations` are the ones to act on next. Where an episode ended and the environment was
    reset in the same step, its true last observation is the row of `final_observations`. An
    environment that resets in the next step shows its last observation in `observations`, and its
    next step is not `valid`: it only resets, and its action and reward have no meaning.
    """

    observations: np.ndarray  # [N, D] float32, or uint8: see ObservationEncoder.dtype
    rewards: np.ndarray  # [N]
    terminated: np.ndarray  # [N] bool: the episode ended by the task's own rule
    truncated: np.ndarray  # [N] bool: it was cut off, for instance by a time limit
    valid: np.ndarray | None = None  # [N] bool: whether a step was taken; None: all were
    final_observations: np.ndarray | None = None  # [N, D], rows where done; None: see observations


class Environments(Protocol):
    """N environments. Rows are encoded by `spaces.observations`."""

    n_envs: int

    def reset(self, seed: int | None) -> np.ndarray:
        """Starts an episode in each environment. Returns the observations [N, D].

        The seed determines everything after it. Without a seed, an episode that has begun but has
        had no step counts as just started.
        """

    def step(
        self, actions: np.ndarray, active: np.ndarray | None = None, last: np.ndarray | None = None
    ) -> Step:
        """One step with stored actions [N, ...].

        Environments where `active` [N] is false may be left alone. Where `last` [N] is true, no
        episode follows the running one, so the environment need not be reset at its end.

        Raises:
            EnvironmentFailed: the environment raised, or returned something of the wrong shape.
        """

    def snapshot(self) -> bytes | None:
        """Everything that determines later steps; None if the environment cannot be saved."""

    def restore(self, saved: bytes) -> None:
        """Goes back to a snapshot of the same kind of environments."""

    def close(self) -> None:
        """Frees what the environments hold."""
