"""Plays whole episodes, many side by side, each on its own seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from trainer.environments.errors import EnvironmentFailed
from trainer.rollouts.collector import never_ends
from trainer.rollouts.policy import ActingPolicy
from trainer.spaces.actions import ActionCodec
from trainer.spaces.observations import ObservationEncoder

LANES = 128  # episodes side by side at most


@dataclass(frozen=True)
class Played:
    """What became of the episodes, in the order of their seeds."""

    returns: np.ndarray  # [E], undiscounted
    lengths: np.ndarray  # [E], steps
    observations: np.ndarray  # [V, D], some of those that were visited


@dataclass
class EpisodePlayer:
    """Environments kept for playing; ordinary ones, so that an episode depends on its seed alone."""

    make: Callable[[], gym.Env[Any, Any]]
    encoder: ObservationEncoder
    codec: ActionCodec
    step_limit: int  # steps after which an episode counts as never ending

    def __post_init__(self) -> None:
        self._envs: list[gym.Env[Any, Any]] = []

    def play(
        self, policy: ActingPolicy, seeds: Sequence[int], *, deterministic: bool, visited: int = 0
    ) -> Played:
        """One episode per seed.

        Args:
            policy: what acts.
            seeds: of the environments' resets; the first also seeds the sampling of actions.
            deterministic: the mode of the distribution instead of a sample.
            visited: observations to keep, spread over the first ones.

        Raises:
            EnvironmentFailed: an environment raised, or answered NaN or the wrong shape.
            EnvironmentNeverEnds: an episode is longer than the limit.
        """
        lanes = min(len(seeds), LANES)
        while len(self._envs) < lanes:
            self._envs.append(self.make())
        rng = np.random.default_rng([seeds[0], 7])
        returns, lengths = np.zeros(len(seeds)), np.zeros(len(seeds), np.int64)
        waiting = iter(range(len(seeds)))
        episode = np.full(lanes, -1)  # [lanes], which one each plays; -1: none
        rows = np.zeros((lanes, self.encoder.size), np.float32)
        kept: list[np.ndarray] = []
        for lane in range(lanes):
            self._begin(lane, waiting, seeds, episode, rows)
        while (playing := np.flatnonzero(episode >= 0)).size:
            if sum(map(len, kept)) < visited:
                kept.append(rows[playing].copy())
            actions = self._act(policy, rows[playing], rng, deterministic=deterministic)
            for lane, action in zip(playing.tolist(), self.codec.to_environment(actions), strict=True):
                rows[lane], reward, done = self._step(lane, action)
                returns[episode[lane]] += reward
                lengths[episode[lane]] += 1
                if done:
                    self._begin(lane, waiting, seeds, episode, rows)
            if lengths.max() > self.step_limit:
                raise never_ends(self.step_limit)
        observations = np.concatenate(kept)[:visited] if kept else rows[:0]
        return Played(returns, lengths, observations)

    def close(self) -> None:
        """Closes the environments."""
        for env in self._envs:
            env.close()
        self._envs.clear()

    def _begin(
        self, lane: int, waiting: Iterator[int], seeds: Sequence[int], episode: np.ndarray, rows: np.ndarray
    ) -> None:
        episode[lane] = next(waiting, -1)
        if episode[lane] < 0:
            return
        try:
            observation, _ = self._envs[lane].reset(seed=int(seeds[episode[lane]]))
            rows[lane] = self.encoder.encode(observation)
        except Exception as error:
            raise EnvironmentFailed(f"evaluation: reset failed with {error!r}") from error

    def _step(self, lane: int, action: Any) -> tuple[np.ndarray, float, bool]:
        try:
            observation, reward, terminated, truncated, _ = self._envs[lane].step(action)
            row, reward = self.encoder.encode(observation), float(reward)
        except Exception as error:
            raise EnvironmentFailed(f"evaluation: step failed with {error!r}") from error
        if not np.isfinite(row).all() or not np.isfinite(reward):
            raise EnvironmentFailed("evaluation: the environment answered a number that is not finite")
        return row, reward, bool(terminated or truncated)

    def _act(
        self, policy: ActingPolicy, rows: np.ndarray, rng: np.random.Generator, *, deterministic: bool
    ) -> np.ndarray:
        if deterministic:
            return policy.mode(rows)
        return policy.sample(rows, rng.random((len(rows), *policy.distribution.noise_shape)))
