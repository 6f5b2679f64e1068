"""The task of all environments here: name the one of three."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

Result = tuple[Any, ...]


class Naming(gym.Env[Any, Any]):
    """Ten steps, each with a one-hot observation of 3 and reward 1 for naming its index."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  Gymnasium's own form

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space: Any = spaces.Box(-1.0, 2.0, (3,), np.float32)
        self.action_space: Any = spaces.Discrete(3)

    def observe(self) -> Any:
        """The next observation."""
        self.target = int(self.np_random.integers(3))
        return np.eye(3, dtype=np.float32)[self.target]

    def reset(self, *, seed: int | None = None, options: Any = None) -> Result:
        """Starts an episode."""
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action: Any) -> Result:
        """Rewards a right action."""
        reward = float(action == self.target)
        self.t += 1
        return self.observe(), reward, self.t >= 10, False, {}

    def render(self) -> Any:
        """A black picture."""
        return np.zeros((32, 32, 3), np.uint8)
