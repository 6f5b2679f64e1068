"""Environments that read Gymnasium's contract in their own way, or break it."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from gymnasium import spaces

from .naming import Naming, Result


class Answers(Naming):
    """Breaks Gymnasium's contract with what it returns."""

    def __init__(self, kind: str, render_mode: str | None = None) -> None:
        self._kind = kind
        if kind == "type error":
            len(5)  # type: ignore[arg-type]
        super().__init__(render_mode)

    def reset(self, **options: Any) -> Any:
        """Returns only the observation, like Gym before 0.26, or a mask that allows nothing."""
        observation, info = super().reset(**options)
        if self._kind == "empty mask":
            return observation, {"action_mask": np.zeros(3, np.int8)}
        return observation if self._kind == "old reset" else (observation, info)

    def step(self, action: Any) -> Any:
        """Returns four values, or rewards or ends of several agents."""
        observation, reward, terminated, truncated, info = super().step(action)
        return {
            "old step": (observation, reward, terminated, info),
            "rewards": (observation, np.array([reward, 0.0]), terminated, truncated, info),
            "agents": (observation, {"a": reward}, {"a": terminated}, {"a": truncated}, info),
            "ends": (observation, reward, {"a": terminated}, truncated, info),
        }.get(self._kind, (observation, reward, terminated, truncated, info))


class Particular(Naming):
    """Takes only np.int64 actions, and only seeds that a C int can hold.

    Its numbers are arrays with one element.
    """

    def reset(self, *, seed: int | None = None, options: Any = None) -> Result:
        """Refuses a seed that is too large."""
        ctypes.c_int32(seed or 0)
        if not 0 <= (seed or 0) < 2**31:
            raise OverflowError(f"the seed {seed} is no int")
        return super().reset(seed=seed)

    def step(self, action: Any) -> Result:
        """Uses methods that only numpy's integers have."""
        observation, reward, terminated, truncated, info = super().step(action.item())
        return observation, np.array([reward]), np.array(terminated), np.bool_(truncated), info


class MasksByMethod(Naming):
    """Its method `action_masks()` allows only the right action."""

    def action_masks(self) -> Any:
        """The method that stable-baselines3's masked PPO calls."""
        return np.arange(3) == self.target


class MasksInside(Naming):
    """Has the mask in its Dict observation, like RLlib's and PettingZoo's environments."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        mask = spaces.Box(0, 1, (3,), np.int8)
        self.observation_space = spaces.Dict({"action_mask": mask, "seen": self.observation_space})

    def observe(self) -> Any:
        """The observation and its right action."""
        seen = super().observe()
        return {"action_mask": seen.astype(np.int8), "seen": seen}


class Renders(Naming):
    """Says that it renders, and fails when it should."""

    def __init__(self, kind: str, render_mode: str | None = None) -> None:
        if kind == "blind" and render_mode is not None:
            raise ValueError(f"render_mode {render_mode} is not known")
        super().__init__(render_mode)

    def render(self) -> Any:
        """Raises."""
        raise RuntimeError("no display")


class NoEnvironment:
    """Has several agents, as in PettingZoo, and is no gymnasium.Env."""

    def reset(self, seed: int | None = None) -> Any:
        """Returns an observation per agent."""
        return {"a": 0}, {"a": {}}
