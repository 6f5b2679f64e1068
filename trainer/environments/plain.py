"""Ordinary Gymnasium environments, stepped one after the other in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from trainer.environments import snapshot
from trainer.environments.errors import failure
from trainer.environments.interface import Step
from trainer.environments.watchdog import CALL
from trainer.spaces.actions import ActionCodec
from trainer.spaces.observations import ObservationEncoder


class PlainEnvironments:
    """Resets an environment in the step that ended its episode.

    `episode_seeds`, where given, seeds the episodes in the order of their beginning; without it an
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

    def reset(self, seed: int | None) -> np.ndarray:
        """Observations [N, D]; environment i is seeded by `seed` and its number."""
        observations = np.empty((self.n_envs, self._encoder.size), self._encoder.dtype)
        for index in range(self.n_envs):
            observations[index] = self._reset(
                index, None if seed is None else derived(seed, self._first + index)
            )
        return observations

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> Step:
        """Steps each active environment; inactive ones keep a row of zeros."""
        n = self.n_envs
        observations = np.zeros((n, self._encoder.size), self._encoder.dtype)
        rewards = np.zeros(n)
        terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
        finals: np.ndarray | None = None
        chosen: Any = self._codec.to_environment(actions)
        if chosen.ndim == 1 and chosen.dtype.kind == "i":
            chosen = chosen.tolist()  # spaces check a Python int much faster than numpy's
        for index in range(n) if active is None else np.flatnonzero(active).tolist():
            row, rewards[index], ended, cut = self._step(index, chosen[index])
            if ended or cut:
                terminated[index], truncated[index] = ended, cut
                if finals is None:
                    finals = np.zeros_like(observations)
                finals[index] = row
                row = self._reset(index, None)
            observations[index] = row
        # Rows of `finals` matter only where done; the same array serves when nothing ended.
        return Step(observations, rewards, terminated, truncated, active, finals)

    def snapshot(self) -> bytes | None:
        """The environments whole; None where one cannot be saved (Box2D's, for instance)."""
        return snapshot.dump(self.envs)

    def restore(self, saved: bytes) -> None:
        """Back to a snapshot."""
        self.envs = snapshot.load(saved)

    def close(self) -> None:
        """Closes each environment."""
        for env in self.envs:
            env.close()

    def _reset(self, index: int, seed: int | None) -> np.ndarray:
        if self._episode_seeds is not None:
            seed = next(self._episode_seeds, None)
        try:
            with CALL:
                observation, info = self.envs[index].reset(seed=seed)
            return self._encoder.encode(observation, info)
        except Exception as error:
            raise failure(f"environment {index}: reset", error) from error

    def _step(self, index: int, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        try:
            with CALL:
                observation, reward, terminated, truncated, info = self.envs[index].step(action)
            row = self._encoder.encode(observation, info)
            return row, _number(reward), bool(terminated), bool(truncated)
        except Exception as error:
            raise failure(f"environment {index}: step", error) from error


def _number(reward: Any) -> float:
    try:
        return float(reward)
    except (TypeError, ValueError):  # of several agents or objectives
        raise TypeError(f"its reward is {reward!r}, wanted one number") from None


def derived(seed: int, index: int) -> int:
    """A seed for environment `index`, independent of the others'."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
