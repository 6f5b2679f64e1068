"""Environments that count their instances, or allow only one."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from .naming import Naming, Result


class OneInstance(Naming):
    """Only one can exist at a time, like a simulator on a fixed port."""

    living = 0

    def __init__(self, render_mode: str | None = None, *, names_by_number: bool = False) -> None:
        super().__init__(render_mode)
        if names_by_number:
            self.action_space = spaces.Box(0.0, 2.0, (), np.float32)
        if OneInstance.living:
            raise RuntimeError("port 5005 is taken: another instance is running")
        OneInstance.living += 1

    def close(self) -> None:
        """Frees the port."""
        OneInstance.living = 0


class OnlyOnce(Naming):
    """Cannot be made a second time, not even when the first one is closed."""

    made = 0

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        if OnlyOnce.made:
            raise RuntimeError("the device is used up")
        OnlyOnce.made += 1


class Counted(Naming):
    """Counts resets, steps, episodes and living environments.

    It writes them into the file that COUNTED_FILE names.
    """

    resets = steps = ended = living = most = 0
    length = 200

    def __init__(self, length: int = 200, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.length = length
        Counted.living += 1
        Counted.most = max(Counted.most, Counted.living)

    @staticmethod
    def tell() -> None:
        """Writes the counts."""
        with contextlib.suppress(KeyError):
            counts = {name: getattr(Counted, name) for name in ("resets", "steps", "ended", "most")}
            Path(os.environ["COUNTED_FILE"]).write_text(json.dumps(counts))

    def reset(self, **options: Any) -> Result:
        """Counts the end of an environment."""
        Counted.resets += 1
        return super().reset(**options)

    def step(self, action: Any) -> Result:
        """Counts a step."""
        Counted.steps += 1
        observation, reward, _, truncated, info = super().step(action)
        Counted.ended += self.t >= self.length
        return observation, reward, self.t >= self.length, truncated, info

    def close(self) -> None:
        """Counts a reset."""
        Counted.living -= 1


atexit.register(Counted.tell)
