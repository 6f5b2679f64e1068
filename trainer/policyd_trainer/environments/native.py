"""Vector environments that step all their copies in one numpy call."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from policyd_trainer.environments import snapshot
from policyd_trainer.environments.calls import FIRST_RESET, RESET, STEP
from policyd_trainer.environments.construct import close
from policyd_trainer.environments.contract import explained
from policyd_trainer.environments.errors import EnvironmentFailed, at
from policyd_trainer.environments.interface import Step
from policyd_trainer.environments.seeds import derived
from policyd_trainer.spaces.actions import ActionCodec
from policyd_trainer.spaces.observations import ObservationEncoder

Vector = gym.vector.VectorEnv[Any, Any, Any]


class NativeEnvironments:
    """Steps a gymnasium VectorEnv that has autoreset mode NEXT_STEP or SAME_STEP."""

    def __init__(
        self, vector: Vector, encoder: ObservationEncoder, codec: ActionCodec, first: int = 0
    ) -> None:
        self.n_envs = vector.num_envs
        self._vector, self._encoder, self._codec = vector, encoder, codec
        self._first = first  # number of the first environment among the run's
        self._same_step = autoreset_mode(vector) is AutoresetMode.SAME_STEP
        self._resetting = np.zeros(self.n_envs, bool)  # [N], whether the next step only resets
        self._begun: np.ndarray | None = None  # [N, D], of episodes that have had no step
        self._reset_call = FIRST_RESET

    def reset(self, seed: int | None) -> np.ndarray:
        """Starts an episode in each environment. Returns the observations [N, D].

        Without a seed, episodes that have begun and have had no step are played next.
        """
        if seed is None and self._begun is not None:
            return self._begun
        self._resetting = np.zeros(self.n_envs, bool)
        try:
            derived_seed = None if seed is None else derived(seed, self._first)
            with self._reset_call:
                observations, _ = self._vector.reset(seed=derived_seed)
            self._begun = self._encoder.encode_batch(observations)
        except Exception as error:
            raise _failure("reset", error) from error
        self._reset_call = RESET
        return self._begun

    def step(
        self, actions: np.ndarray, active: np.ndarray | None = None, last: np.ndarray | None = None
    ) -> Step:
        """Steps all environments, active or not, and resets all that ended.

        A vector environment does both in one numpy call.
        """
        del last
        self._begun = None
        try:
            chosen = self._codec.to_environment(actions)
            with STEP:
                observations, rewards, terminated, truncated, infos = self._vector.step(chosen)
            rows = self._encoder.encode_batch(observations)
            finals = self._finals(infos, rows) if self._same_step else None
        except Exception as error:
            raise _failure("step", error) from error
        valid = ~self._resetting
        if not self._same_step:
            self._resetting = terminated | truncated
        if active is not None:
            valid &= active
        return Step(rows, rewards, terminated, truncated, valid, finals)

    def snapshot(self) -> bytes | None:
        """The whole vector environment; None if it cannot be saved."""
        return snapshot.dump((self._vector, self._resetting))

    def restore(self, saved: bytes) -> None:
        """Goes back to a snapshot."""
        self._vector, self._resetting = snapshot.load(saved)
        self._begun = None

    def close(self) -> None:
        """Closes the vector environment."""
        close(self._vector)

    def _finals(self, infos: dict[str, Any], rows: np.ndarray) -> np.ndarray | None:
        if "final_obs" not in infos:
            return None
        finals = np.zeros_like(rows)
        for index in np.flatnonzero(infos["_final_obs"]):
            finals[index] = self._encoder.encode(infos["final_obs"][index])
        return finals


def _failure(call: str, error: Exception) -> EnvironmentFailed:
    if isinstance(error, EnvironmentFailed):
        return at("vector environment", error)
    return EnvironmentFailed(f"vector environment: {call} {explained(error)}")


def autoreset_mode(vector: Vector) -> AutoresetMode | None:
    """The autoreset mode that the vector environment's metadata say."""
    mode = vector.metadata.get("autoreset_mode")
    return mode if isinstance(mode, AutoresetMode) else None
