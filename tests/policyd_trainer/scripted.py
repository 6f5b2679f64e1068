"""An environment whose every transition is known, and others that misbehave.

Importing registers them.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

LENGTHS = (3, 1, 4, 2)  # steps of the first episodes; then from the start again
Observation = Any


class Scripted(gym.Env[Any, Any]):
    """Observations are [episode, step], rewards 10 * episode + step.

    Even episodes terminate, odd ones are truncated.
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.episode, self.steps = -1, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Observation, dict[str, Any]]:
        """Starts the next episode."""
        super().reset(seed=seed)
        self.episode, self.steps = self.episode + 1, 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """The script's next transition, for any action."""
        self.steps += 1
        ended = self.steps == LENGTHS[self.episode % len(LENGTHS)]
        even = self.episode % 2 == 0
        reward = 10.0 * self.episode + self.steps
        return self._observation(), reward, ended and even, ended and not even, {}

    def _observation(self) -> np.ndarray:
        return np.array([self.episode, self.steps], np.float32)


def spin() -> None:
    """Loops for ever, and swallows all exceptions that it can."""
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0)


def deadlock() -> None:
    """Waits for ever in C, where no signal handler runs."""
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


DEEDS: dict[str, Callable[[], object]] = {
    "spin": spin,
    "sleep": lambda: time.sleep(10_000),
    "deadlock": deadlock,
    "interrupt": lambda: signal.raise_signal(signal.SIGINT),
}


class Misbehaving(Scripted):
    """Breaks its contract at the fifth step in the given way."""

    def __init__(self, kind: str = "raise") -> None:
        super().__init__()
        self.kind, self.total = kind, 0

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """The script's transition, or a breach of the contract."""
        self.total += 1
        observation, reward, terminated, truncated, info = super().step(action)
        if self.kind == "endless":
            return observation, reward, False, False, info
        if self.total < 5 or self.kind == "well":
            return observation, reward, terminated, truncated, info
        if self.kind in DEEDS:
            DEEDS[self.kind]()
        breaks: dict[str, Callable[[], tuple[Observation, Any]]] = {
            "nan_observation": lambda: (observation * np.nan, reward),
            "nan_reward": lambda: (observation, float("nan")),
            "rewards": lambda: (observation, [reward, 0.0]),
            "shape": lambda: (observation[:1], reward),
            "type": lambda: ("left", reward),
        }
        if self.kind == "raise":
            raise RuntimeError("the motor is on fire")
        observation, reward = breaks[self.kind]()
        return observation, reward, terminated, truncated, info


gym.register("Scripted-v0", "scripted:Scripted")
gym.register("Misbehaving-v0", "scripted:Misbehaving")
