"""A slippery corridor: start somewhere, find the goal at one of its ends."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

LENGTH = 15  # cells
SLIP = 0.1  # probability that a step goes the other way
STEP_REWARD = -0.1
GOAL_REWARD = 1.0

Observation = NDArray[np.float32]


class Corridor(gymnasium.Env[Observation, np.int64]):
    """Observation [2]: the position from -1 (left end) to 1, and the goal's side, -1 or 1.

    The actions are -1, 0 and 1: step left, stay, step right. An episode terminates at the goal.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  (Gymnasium's form)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3, start=-1)
        self._cell = 0
        self._goal = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Puts the goal at an end and the walker on a cell between the ends."""
        super().reset(seed=seed, options=options)
        self._goal = int(self.np_random.choice([0, LENGTH - 1]))
        self._cell = int(self.np_random.integers(1, LENGTH - 1))
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Moves by `action`; with probability SLIP the other way."""
        slipped = self.np_random.random() < SLIP
        self._cell = int(np.clip(self._cell + (-int(action) if slipped else int(action)), 0, LENGTH - 1))
        arrived = self._cell == self._goal
        return self._observation(), GOAL_REWARD if arrived else STEP_REWARD, arrived, False, {}

    def render(self) -> NDArray[np.uint8]:
        """The corridor as a picture [20, 20 * LENGTH, 3]: the walker blue, the goal green."""
        cells = np.full((1, LENGTH, 3), 230, dtype=np.uint8)
        cells[0, self._goal] = (60, 160, 60)
        cells[0, self._cell] = (40, 80, 200)
        return np.repeat(np.repeat(cells, 20, axis=0), 20, axis=1)

    def _observation(self) -> Observation:
        ends = LENGTH - 1
        return np.array([2 * self._cell / ends - 1, 2 * self._goal / ends - 1], dtype=np.float32)
