"""Ordinary Gymnasium environments, stepped one after the other in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from policyd import masks
from policyd_trainer.environments import snapshot
from policyd_trainer.environments.calls import ACTION_MASKS, FIRST_RESET, RESET, STEP
from policyd_trainer.environments.construct import close
from policyd_trainer.environments.contract import explained, reset_result, step_result
from policyd_trainer.environments.errors import EnvironmentFailed, at
from policyd_trainer.environments.interface import Step
from policyd_trainer.environments.seeds import derived
from policyd_trainer.spaces.actions import ActionCodec
from policyd_trainer.spaces.observations import ObservationEncoder


class OrdinaryEnvironments:
    """Steps plain environments one after the other.

    It resets an environment in the step that ended its episode, if another episode is to follow.
    Every episode that a reset begins is played, because some environments take their start states
    in turn.

    `episode_seeds`, if given, seeds the episodes in the order in which they begin. Without it an
    environment's own generator goes on from the seed of `reset`.
    """

    def __init__(
        self,
        envs: Sequence[gym.Env[Any, Any]],
        encoder: ObservationEncoder,
        codec: ActionCodec,
        episode_seeds: Iterator[int] | None = None,
        first: int = 0,
    ) -> None:
        self.n_envs = len(envs)
        self.envs = list(envs)
        self._encoder, self._codec, self._episode_seeds = encoder, codec, episode_seeds
        self._first = first  # number of the first environment among the run's
        self._begun: list[np.ndarray | None] = [None] * len(envs)  # of episodes that have had no step
        self._reset_call = FIRST_RESET

    def reset(self, seed: int | None) -> np.ndarray:
        """Starts an episode in each environment. Returns the observations [N, D].

        Environment i is seeded with `seed` and its number. Without a seed, an episode that has
        begun and has had no step is played next.
        """
        observations = np.empty((self.n_envs, self._encoder.size), self._encoder.dtype)
        for index in range(self.n_envs):
            begun = self._begun[index] if seed is None else None
            if begun is None:
                begun = self._reset(index, None if seed is None else derived(seed, self._first + index))
            observations[index] = begun
        self._reset_call = RESET
        return observations

    def step(
        self, actions: np.ndarray, active: np.ndarray | None = None, last: np.ndarray | None = None
    ) -> Step:
        """Steps each active environment. The rows of inactive ones are zeros.

        Where `last` [N] is true, no episode follows the running one: its last observation stays.
        """
        n = self.n_envs
        observations = np.zeros((n, self._encoder.size), self._encoder.dtype)
        rewards = np.zeros(n)
        terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
        finals: np.ndarray | None = None
        chosen: Any = self._codec.to_environment(actions)
        for index in range(n) if active is None else np.flatnonzero(active).tolist():
            row, rewards[index], ended, cut = self._step(index, chosen[index])
            if ended or cut:
                terminated[index], truncated[index] = ended, cut
                if finals is None:
                    finals = np.zeros_like(observations)
                finals[index] = row
                if last is None or not last[index]:
                    row = self._reset(index, None)
            observations[index] = row
        # Rows of `finals` count only where an episode is done; if none is, any array will do.
        return Step(observations, rewards, terminated, truncated, active, finals)

    def snapshot(self) -> bytes | None:
        """All environments whole; None if one cannot be saved (Box2D's, for instance)."""
        return snapshot.dump((self.envs, self._begun))

    def restore(self, saved: bytes) -> None:
        """Goes back to a snapshot."""
        self.envs, self._begun = snapshot.load(saved)

    def close(self) -> None:
        """Closes each environment once."""
        while self.envs:
            close(self.envs.pop())

    def _reset(self, index: int, seed: int | None) -> np.ndarray:
        if self._episode_seeds is not None:
            seed = next(self._episode_seeds, None)
        try:
            with self._reset_call:
                answer = self.envs[index].reset(seed=seed)
            observation, info = reset_result(answer)
            row = self._encoder.encode(observation, self._mask(index, observation, info))
        except Exception as error:
            raise _failure(index, "reset", error) from error
        self._begun[index] = row
        return row

    def _step(self, index: int, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        self._begun[index] = None
        try:
            with STEP:
                answer = self.envs[index].step(action)
            observation, reward, terminated, truncated, info = step_result(answer)
            mask = self._mask(index, observation, info)
            row = self._encoder.encode(observation, mask, ended=terminated or truncated)
            return row, reward, terminated, truncated
        except Exception as error:
            raise _failure(index, "step", error) from error

    def _mask(self, index: int, observation: Any, info: Any) -> Any:
        if not self._encoder.mask_width:
            return None
        with ACTION_MASKS:
            return masks.given(self.envs[index], observation, info)


def _failure(index: int, call: str, error: Exception) -> EnvironmentFailed:
    if isinstance(error, EnvironmentFailed):
        return at(f"environment {index}", error)
    return EnvironmentFailed(f"environment {index}: {call} {explained(error)}")
