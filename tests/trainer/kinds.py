"""Small environments of every kind of space, each solved by answering what the observation says."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

LENGTH = 8  # steps of an episode

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
    "choice": spaces.Discrete(4, start=1),
    "mixed": spaces.Dict(
        image=spaces.Box(0, 255, (3, 8, 8), np.uint8),
        rest=spaces.Tuple([spaces.Discrete(4), spaces.MultiBinary(2), spaces.MultiDiscrete([2, 4])]),
    ),
}


class Kinds(gym.Env[Any, Any]):
    """Each step shows a goal from 0 to 3; the reward is 1 for its answer, less for others."""

    def __init__(self, actions: str = "discrete", observations: str = "vector", masked: bool = False) -> None:
        self.action_space, self.observation_space = ACTIONS[actions], OBSERVATIONS[observations]
        self._actions, self._observations, self._masked = actions, observations, masked
        self._goal, self._steps = 0, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """A new goal."""
        super().reset(seed=seed)
        self._steps = 0
        return self._next()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The reward of an answer, and the next goal."""
        if not self.action_space.contains(action):
            raise ValueError(f"{action!r} is no action of {self.action_space}")
        if self._masked and not self._mask()[np.asarray(action).reshape(-1)[0] - 2]:
            raise ValueError(f"{action!r} is masked")
        reward = self._reward(np.asarray(action, np.float64).reshape(-1))
        self._steps += 1
        observation, info = self._next()
        return observation, reward, self._steps == LENGTH, False, info

    def _next(self) -> tuple[Any, dict[str, Any]]:
        self._goal = int(self.np_random.integers(4))
        return self._shown(), {"action_mask": self._mask()} if self._masked else {}

    def _mask(self) -> np.ndarray:
        """Discrete actions: the one after the goal's is forbidden."""
        mask = np.ones(3, np.int8)
        mask[(self._goal + 1) % 3] = 0
        return mask

    def _shown(self) -> Any:
        goal = self._goal
        if self._observations == "vector":
            return np.array([goal % 2, goal // 2]) * 2.0 - 1.0
        if self._observations == "choice":
            return np.int64(goal + 1)
        if self._observations == "image":
            image = np.zeros((12, 12, 2), np.uint8)
            image[6 * (goal % 2) :, 6 * (goal // 2) :, 0] = 200
            return image
        bits = np.array([goal % 2, goal // 2], np.int8)
        return {
            "image": np.full((3, 8, 8), 60 * goal, np.uint8),
            "rest": (np.int64(goal), bits, np.array([goal % 2, goal])),
        }

    def _reward(self, action: np.ndarray) -> float:
        goal = self._goal
        if self._actions == "discrete":
            return float(action[0] - 2 == goal % 3)
        if self._actions == "branches":
            return float((action[0] == goal % 2) + (action[1] == goal % 3)) / 2
        if self._actions == "bits":
            return float((action == [goal % 2, goal // 2, 1]).mean())
        assert isinstance(self.action_space, spaces.Box)
        low, high = self.action_space.low.reshape(-1), self.action_space.high.reshape(-1)
        part = (action - low) / (high - low)  # [2], in [0, 1]
        return 1.0 - float(np.abs(part - [0.25 + 0.5 * (goal % 2), 0.25 + 0.5 * (goal // 2)]).mean())


gym.register("Kinds-v0", entry_point=f"{__name__}:Kinds", max_episode_steps=100)


class Sequences(gym.Env[Any, Any]):
    """Its actions are of a kind that is refused."""

    action_space = spaces.Sequence(spaces.Discrete(2))
    observation_space = spaces.Discrete(2)


gym.register("Sequences-v0", entry_point=f"{__name__}:Sequences")
