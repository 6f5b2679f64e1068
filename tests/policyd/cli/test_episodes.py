"""`policyctl play` finds what the environment allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policyd.cli.episodes import allowed_actions


class Plain:
    """An environment without masks."""


class ByMethod:
    """Its method `action_masks()` says that the last of three actions is allowed."""

    def action_masks(self) -> Any:
        """The method that stable-baselines3's masked PPO calls."""
        return np.array([False, False, True])


class Wrapper:
    """Hides the method of the environment inside it, as Gymnasium's wrappers do."""

    def __init__(self, env: Any) -> None:
        self.env = env


INSIDE = {"action_mask": np.array([0, 1, 0], np.int8), "seen": np.zeros(2)}


@pytest.mark.parametrize(
    ("environment", "observation", "info", "allowed"),
    [
        (Plain(), np.zeros(2), {}, [True, True, True]),
        (ByMethod(), np.zeros(2), {}, [False, False, True]),
        (Wrapper(ByMethod()), np.zeros(2), {}, [False, False, True]),
        (ByMethod(), INSIDE, {}, [False, True, False]),
        (ByMethod(), INSIDE, {"action_mask": (np.array([1, 0]), np.array([0]))}, [True, False, False]),
    ],
    ids=["nowhere", "a method", "a method inside a wrapper", "the observation", "info, by branches"],
)
def test_masks_are_found_wherever_training_finds_them(
    environment: Any, observation: Any, info: dict[str, Any], allowed: list[bool]
) -> None:
    """Masks come from info, else a Dict observation, else a method. Without one, all is allowed."""
    assert allowed_actions(environment, observation, info, 3).tolist() == allowed
