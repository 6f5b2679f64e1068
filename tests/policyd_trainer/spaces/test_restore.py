"""Action spaces survive the way through an artifact's description."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from policy_api.v1 import artifact_pb2
from policyd.errors import UnsupportedSpace
from policyd.gym_spaces import describe
from policyd_trainer.spaces.restore import action_space


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Discrete(3),
        gym.spaces.Discrete(4, start=-2),
        gym.spaces.MultiDiscrete([2, 3], start=[1, 0]),
        gym.spaces.MultiDiscrete(np.array([[2, 3], [4, 5]])),
        gym.spaces.MultiBinary(5),
        gym.spaces.Box(-2.0, 2.0, (3,), np.float32),
        gym.spaces.Box(np.array([-1, -np.inf]), np.array([1, np.inf]), dtype=np.float64),
        gym.spaces.Box(0, 255, (2, 2), np.uint8),
    ],
    ids=str,
)
def test_a_described_space_is_restored(space: gym.Space[Any]) -> None:
    """Kind, shape, type, bounds and starts are those of the original space."""
    assert action_space(describe(space)) == space


def test_a_space_that_actions_do_not_have_is_refused() -> None:
    """The error names the kind."""
    with pytest.raises(UnsupportedSpace, match="got no space"):
        action_space(artifact_pb2.Space())
