"""What collecting a rollout needs of environments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(slots=True)
class Step:
    """One step of N environments.

    `observations` are what comes next to act on. Where an episode ended and the environment was
    reset in the same step, its true last observation is the row of `final_observations`. An
    environment that resets in the next step shows its last observation in `observations`, and its
    next step is not `valid`: it only resets, its action and reward mean nothing.
    """

    observations: np.ndarray  # [N, D] float32, or uint8: see ObservationEncoder.dtype
    rewards: np.ndarray  # [N]
    terminated: np.ndarray  # [N] bool: the episode ended by the task's own rule
    truncated: np.ndarray  # [N] bool: it was cut off, by a time limit for instance
    valid: np.ndarray | None = None  # [N] bool; None: all
    final_observations: np.ndarray | None = None  # [N, D], rows where done; None: see observations


class Environments(Protocol):
    """N environments. Rows are encoded by `spaces.observations`."""

    n_envs: int

    def reset(self, seed: int | None) -> np.ndarray:
        """Starts an episode in each; observations [N, D].

        With a seed, everything after is determined.

        Without one, an episode that has begun and has not been stepped counts as just started.
        """

    def step(
        self, actions: np.ndarray, active: np.ndarray | None = None, last: np.ndarray | None = None
    ) -> Step:
        """One step with stored actions [N, ...].

        Where `active` [N] is false nothing need happen. Where `last` [N] is true no episode follows
        the running one, so that its end need not reset the environment.

        Raises:
            EnvironmentFailed: the environment raised or answered with the wrong shape.
        """

    def snapshot(self) -> bytes | None:
        """Everything that determines later steps; None where the environment cannot be saved."""

    def restore(self, saved: bytes) -> None:
        """Goes back to a snapshot of the same kind of environments."""

    def close(self) -> None:
        """Frees what the environments hold."""
