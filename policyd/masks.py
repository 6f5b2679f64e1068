"""Where environments say which actions are allowed now.

Trainer and players look in the same places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAME = "action_mask"  # in `info`, or in an observation that is a Dict
METHOD = "action_masks"  # the method's name in stable-baselines3's masked PPO


def given(environment: Any, observation: Any, info: Mapping[str, Any]) -> Any:
    """Returns the action mask of this moment: one array, or one per branch. None: there is none.

    The first of these that exists is used: `info["action_mask"]`, `observation["action_mask"]`,
    `environment.action_masks()`.
    """
    if (mask := info.get(NAME)) is not None:
        return mask
    if isinstance(observation, Mapping) and NAME in observation:
        return observation[NAME]
    method = method_of(environment)
    return None if method is None else method()


def method_of(environment: Any) -> Any:
    """Returns the method `action_masks` of the environment, or of one inside its wrappers.

    None: there is no such method.
    """
    inner = environment
    while inner is not None:
        if callable(getattr(type(inner), METHOD, None)):
            return getattr(inner, METHOD)
        inner = getattr(inner, "__dict__", {}).get("env")
    return None
