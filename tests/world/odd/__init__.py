"""Environments that meddle with the process they run in, registered on import.

The task: name the one of three that is shown.
"""

from __future__ import annotations

from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from .answers import ANSWERED, SEEN
from .endings import ENDINGS
from .interfaces import AT_CLOSE, AT_RENDER, AT_RESET, ODD_ANSWERS, SPACES
from .objects import AT_THE_END, AT_THE_START, NUMBERS, OBJECTS, PICTURES
from .process import AT_A_STEP, AT_START, FREED
from .replaced import REPLACED

LENGTH = 10  # steps per episode
START = AT_START | SPACES | OBJECTS
STEP = AT_A_STEP | ENDINGS | REPLACED
ANSWERS = ANSWERED | ODD_ANSWERS | NUMBERS
RESET, RENDER, CLOSE = AT_RESET | AT_THE_START, AT_RENDER | PICTURES, AT_CLOSE | AT_THE_END


class Odd(gym.Env[Any, Any]):
    """Does what `habit` says in its constructor, or at the fifth step of each episode."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  Gymnasium's own form

    def __init__(self, habit: str, render_mode: str | None = None) -> None:
        self.render_mode, self.habit = render_mode, habit
        self.observation_space: Any = spaces.Box(-1.0, 2.0, (3,), np.float32)
        self.action_space: Any = spaces.Discrete(3)
        self.sampled = False  # whether observations are drawn from their space
        START.get(habit, _nothing)(self)

    def _observe(self) -> Any:
        self.target = int(self.np_random.integers(3))
        if self.sampled:
            return self.observation_space.sample()
        observation = np.eye(3, dtype=np.float32)[self.target]
        return SEEN.get(self.habit, lambda seen: seen)(observation)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """Starts an episode."""
        RESET.get(self.habit, _nothing)(seed)
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        """Rewards a right action."""
        reward = float(np.all(action == self.target))
        self.t += 1
        if self.habit == "changes its action" and isinstance(action, np.ndarray):
            action += 1
        if self.t == LENGTH // 2:
            STEP.get(self.habit, _nothing)(self)
        answer: Any = (self._observe(), reward, self.t >= LENGTH, False, {})
        return ANSWERS.get(self.habit, lambda given: given)(answer)

    def render(self) -> Any:
        """A black picture."""
        return RENDER.get(self.habit, lambda: np.zeros((32, 32, 3), np.uint8))()

    def close(self) -> None:
        """Does nothing."""
        CLOSE.get(self.habit, lambda: None)()

    def __getattr__(self, name: str) -> Any:
        if self.__dict__.get("habit") == "has every name" and not name.startswith("_"):
            return lambda *_, **__: self
        raise AttributeError(name)

    def __del__(self) -> None:
        FREED.get(self.habit, _nothing)(self)


def _nothing(_: object) -> None:
    """Does nothing unusual."""


OTHERS = ("has every name", "changes its action")
HABITS = (*START, *STEP, *SEEN, *ANSWERS, *FREED, *RESET, *RENDER, *CLOSE, *OTHERS)
gym.register("Odd-v0", entry_point=cast("Any", Odd), disable_env_checker=True)
