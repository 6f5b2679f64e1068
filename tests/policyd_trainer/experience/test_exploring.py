"""A policy with Box actions goes on trying, also where all observations are alike."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from policy_api.v1.training_pb2 import Spaces
from policyd.gym_spaces import describe_leaf
from policyd_trainer.experience.spaces import first_config
from policyd_trainer.presets.spaces import STATE_DEPENDENT_A2C
from tests.policyd_trainer.experience.boxes import HIGH, LOW, BoxWorld

HALF = (HIGH - LOW) / 2


def test_observations_that_are_alike_end_no_exploration(tmp_path: Path) -> None:
    """Scaled, such observations have features of 0. The deviation must not depend on these."""
    with BoxWorld.at(tmp_path / "repository") as world:
        assert isinstance(world, BoxWorld)
        job = world.job()
        world.learn(job, 0)
        first, _ = world.moments()
        for _ in range(4):
            world.play_box(64, "clip")
            world.learn(job)
        mean, deviation = world.moments()
        assert world.champion() == 5
        assert deviation > 0.3 * HALF
        assert mean > first  # where the reward is higher


@pytest.mark.parametrize("use_sde", ["true", "false"])
def test_rates_are_for_few_passes(use_sde: str) -> None:
    """Those of the preset that an environment gets are for ten passes over each batch."""
    box = describe_leaf(gym.spaces.Box(-1, 1, (2,), np.float32))
    config = first_config("p", "a2c", 0, {"use_sde": use_sde}, Spaces(observation=box, action=box))
    own = {"use_sde", "log_std_init", "minibatch_size"}
    for name, value in STATE_DEPENDENT_A2C.items():
        wanted = tuple(value) if isinstance(value, list) else value
        assert name in own or getattr(config, name) == wanted, name
    assert config.n_epochs == 4
