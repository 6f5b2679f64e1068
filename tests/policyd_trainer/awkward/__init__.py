"""Environments with habits that real ones have, registered on import.

Tests put the folder above on the path, and name them `awkward:NAME-v0`. So imports are relative.
"""

from __future__ import annotations

from typing import Any, cast

import gymnasium as gym

from .contract import Answers, MasksByMethod, MasksInside, NoEnvironment, Particular, Renders
from .endings import CloseFails, Ends, FreedForEver
from .instances import Counted, OneInstance, OnlyOnce
from .meddling import Changes, Meddles, Talks
from .naming import Naming

for entry in (
    *(Naming, Ends, Talks, Meddles, CloseFails, FreedForEver, Changes, Answers, Particular),
    *(MasksByMethod, MasksInside, OneInstance, OnlyOnce, Counted, NoEnvironment, Renders),
):
    gym.register(f"{entry.__name__}-v0", entry_point=cast("Any", entry), disable_env_checker=True)
