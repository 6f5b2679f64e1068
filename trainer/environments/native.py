"""Vector environments that step all their copies in one numpy call."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from trainer.environments import snapshot
from trainer.environments.errors import failure
from trainer.environments.interface import Step
from trainer.environments.plain import derived
from trainer.environments.watchdog import CALL
from trainer.spaces.actions import ActionCodec
from trainer.spaces.observations import ObservationEncoder

Vector = gym.vector.VectorEnv[Any, Any, Any]


class NativeEnvironments:
    """A gymnasium VectorEnv with autoreset mode NEXT_STEP or SAME_STEP."""

    def __init__(
        self, vector: Vector, encoder: ObservationEncoder, codec: ActionCodec, first: int = 0
    ) -> None:
        self.n_envs = vector.num_envs
        self._vector, self._encoder, self._codec = vector, encoder, codec
        self._first = first  # number of the first environment among the run's
        self._same_step = autoreset_mode(vector) is AutoresetMode.SAME_STEP
        self._resetting = np.zeros(self.n_envs, bool)  # [N], whose next step only resets

    def reset(self, seed: int | None) -> np.ndarray:
        """Observations [N, D]."""
        self._resetting = np.zeros(self.n_envs, bool)
        try:
            derived_seed = None if seed is None else derived(seed, self._first)
            with CALL:
                observations, _ = self._vector.reset(seed=derived_seed)
            return self._encoder.encode_batch(observations)
        except Exception as error:
            raise failure("vector environment: reset", error) from error

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> Step:
        """Steps all, active or not: that is what one numpy call does."""
        try:
            chosen = self._codec.to_environment(actions)
            with CALL:
                observations, rewards, terminated, truncated, infos = self._vector.step(chosen)
            rows = self._encoder.encode_batch(observations)
            finals = self._finals(infos, rows) if self._same_step else None
        except Exception as error:
            raise failure("vector environment: step", error) from error
        valid = ~self._resetting
        if not self._same_step:
            self._resetting = terminated | truncated
        if active is not None:
            valid &= active
        return Step(rows, rewards, terminated, truncated, valid, finals)

    def snapshot(self) -> bytes | None:
        """The vector environment whole; None where it cannot be saved."""
        return snapshot.dump((self._vector, self._resetting))

    def restore(self, saved: bytes) -> None:
        """Back to a snapshot."""
        self._vector, self._resetting = snapshot.load(saved)

    def close(self) -> None:
        """Closes the vector environment."""
        self._vector.close()

    def _finals(self, infos: dict[str, Any], rows: np.ndarray) -> np.ndarray | None:
        if "final_obs" not in infos:
            return None
        finals = np.zeros_like(rows)
        for index in np.flatnonzero(infos["_final_obs"]):
            finals[index] = self._encoder.encode(infos["final_obs"][index])
        return finals


def autoreset_mode(vector: Vector) -> AutoresetMode | None:
    """What the vector environment says of itself."""
    mode = vector.metadata.get("autoreset_mode")
    return mode if isinstance(mode, AutoresetMode) else None
