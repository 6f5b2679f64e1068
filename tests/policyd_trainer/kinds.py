"""Small environments of every kind of space, each solved by answering what the observation says."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

LENGTH = 8  # steps per episode

ACTIONS: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(3, start=2),
    "branches": spaces.MultiDiscrete([2, 3]),
    "bits": spaces.MultiBinary(3),
    "box": spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32)),
    "whole": spaces.Box(0, 4, (2, 1), np.int64),
}
OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "vector": spaces.Box(-1, 1, (2,), np.float64),
    "image": spaces.Box(0, 255, (12, 12, 2), np.uint8),
    "bright": spaces.Box(0, 255, (3, 8, 8), np.uint8),
    "choice": spaces.Discrete(4, start=1),
    "tuple": spaces.Tuple([spaces.MultiBinary(2), spaces.Discrete(3), spaces.MultiDiscrete([3, 2])]),
    "dict": spaces.Dict(z=spaces.Discrete(2, start=-1), a=spaces.Box(0, 9, (1, 2), np.int32)),
    "mixed": spaces.Dict(
        image=spaces.Box(0, 255, (3, 8, 8), np.uint8),
        rest=spaces.Tuple([spaces.Discrete(4), spaces.MultiBinary(2), spaces.MultiDiscrete([2, 4])]),
    ),
}


class Kinds(gym.Env[Any, Any]):
    """Each step shows a goal from 0 to 3. Its action has reward 1, and others less."""

    def __init__(self, actions: str = "discrete", observations: str = "vector", masked: bool = False) -> None:
        self.action_space, self.observation_space = ACTIONS[actions], OBSERVATIONS[observations]
        self._actions, self._observations, self._masked = actions, observations, masked
        self._goal, self._steps = 0, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Shows a new goal."""
        super().reset(seed=seed)
        self._steps = 0
        return self._next()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The reward of an action, and the next goal."""
        if not self.action_space.contains(action):
            raise ValueError(f"{action!r} is no action of {self.action_space}")
        if self._masked and self._forbids(np.asarray(action).reshape(-1)):
            raise ValueError(f"{action!r} is masked")
        reward = self._reward(np.asarray(action, np.float64).reshape(-1))
        self._steps += 1
        observation, info = self._next()
        return observation, reward, self._steps == LENGTH, False, info

    def _next(self) -> tuple[Any, dict[str, Any]]:
        self._goal = int(self.np_random.integers(4))
        return self._shown(), {"action_mask": self._mask()} if self._masked else {}

    def _mask(self) -> Any:
        """Masks one wrong choice: one array, or one array per branch."""
        if self._actions == "bits":
            return np.array([self._goal % 2, 1, 1], np.int8)
        mask = np.ones(3, np.int8)
        mask[(self._goal + 1) % 3] = 0
        return (np.ones(2, np.int8), mask) if self._actions == "branches" else mask

    def _forbids(self, action: np.ndarray) -> bool:
        """Whether the last mask forbids the choice."""
        mask = self._mask()
        if self._actions == "bits":
            return bool((action > mask).any())
        return not (mask[1][action[1]] if self._actions == "branches" else mask[action[0] - 2])

    def _shown(self) -> Any:
        """The observation of the goal `row` and `column`.

        If there are several members, each has a part of it.
        """
        goal, (row, column) = self._goal, divmod(self._goal, 2)
        noise = self.np_random.integers
        if self._observations in ("image", "bright"):
            return self._pixels()
        if self._observations == "vector":
            return np.array([column, row]) * 2.0 - 1.0
        if self._observations == "choice":
            return np.int64(goal + 1)
        if self._observations == "tuple":
            bits = np.array([noise(2), column], np.int8)
            return (bits, np.int64(noise(3)), np.array([noise(3), row]))
        if self._observations == "dict":
            return {"z": np.int64(column - 1), "a": np.array([[noise(10), 9 * row]], np.int32)}
        return {
            "image": np.full((3, 8, 8), 200 * row, np.uint8),
            "rest": (np.int64(noise(4)), noise(0, 2, 2, np.int8), np.array([column, noise(4)])),
        }

    def _pixels(self) -> np.ndarray:
        """The goal as a pattern, or as brightness only."""
        if self._observations == "bright":
            return np.full((3, 8, 8), 60 * self._goal, np.uint8)
        image = np.zeros((12, 12, 2), np.uint8)
        image[6 * (self._goal % 2) :, 6 * (self._goal // 2) :, 0] = 200
        return image

    def _reward(self, action: np.ndarray) -> float:
        goal = self._goal
        if self._actions == "discrete":
            return float(action[0] - 2 == goal % 3)
        if self._actions == "branches":
            return float((action == [goal % 2, goal % 3]).mean())
        if self._actions == "bits":
            return float((action == [goal % 2, goal // 2, 1]).mean())
        assert isinstance(self.action_space, spaces.Box)
        low, high = self.action_space.low.reshape(-1), self.action_space.high.reshape(-1)
        part = (action - low) / (high - low)  # [2], in [0, 1]
        return 1.0 - float(np.abs(part - [0.25 + 0.5 * (goal % 2), 0.25 + 0.5 * (goal // 2)]).mean())


gym.register("Kinds-v0", entry_point=f"{__name__}:Kinds", max_episode_steps=100)


class Sequences(gym.Env[Any, Any]):
    """Its action space is of a kind that is refused."""

    action_space = spaces.Sequence(spaces.Discrete(2))
    observation_space = spaces.Discrete(2)


gym.register("Sequences-v0", entry_point=f"{__name__}:Sequences")
