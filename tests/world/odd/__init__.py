"""Environments that meddle with the process they run in, registered on import.

The task: name the one of three that is shown.
"""

from __future__ import annotations

from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from .answers import ANSWERED, SEEN
from .process import AT_A_STEP, AT_START, FREED

LENGTH = 10  # steps of an episode


class Odd(gym.Env[Any, Any]):
    """Does what `habit` says in its constructor, or at the fifth step of each episode."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  Gymnasium's own form

    def __init__(self, habit: str, render_mode: str | None = None) -> None:
        self.render_mode, self.habit = render_mode, habit
        self.observation_space: Any = spaces.Box(-1.0, 2.0, (3,), np.float32)
        self.action_space: Any = spaces.Discrete(3)
        AT_START.get(habit, _nothing)(self)

    def _observe(self) -> Any:
        self.target = int(self.np_random.integers(3))
        observation = np.eye(3, dtype=np.float32)[self.target]
        return SEEN.get(self.habit, lambda seen: seen)(observation)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """Starts an episode."""
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        """Counts a right answer."""
        reward = float(action == self.target)
        self.t += 1
        if self.habit == "changes its action" and isinstance(action, np.ndarray):
            action += 1
        if self.t == LENGTH // 2:
            AT_A_STEP.get(self.habit, _nothing)(self)
        answer: Any = (self._observe(), reward, self.t >= LENGTH, False, {})
        return ANSWERED.get(self.habit, lambda given: given)(answer)

    def render(self) -> Any:
        """A black picture."""
        return np.zeros((32, 32, 3), np.uint8)

    def __getattr__(self, name: str) -> Any:
        if self.__dict__.get("habit") == "has every name" and not name.startswith("_"):
            return lambda *_, **__: self
        raise AttributeError(name)

    def __del__(self) -> None:
        FREED.get(self.habit, _nothing)(self)


def _nothing(_: Odd) -> None:
    """As usual."""


OTHERS = ("has every name", "changes its action")
HABITS = (*AT_START, *AT_A_STEP, *SEEN, *ANSWERED, *FREED, *OTHERS)
gym.register("Odd-v0", entry_point=cast("Any", Odd), disable_env_checker=True)
