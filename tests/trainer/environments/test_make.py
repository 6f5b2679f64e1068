"""Which environments a run steps: Gymnasium's vector environment only where it is the same environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from trainer.config import resolve_config
from trainer.environments.make import inspect, make_environments
from trainer.environments.native import NativeEnvironments
from trainer.environments.plain import PlainEnvironments


class Preprocessed(gym.vector.VectorEnv[Any, Any, Any]):
    """Observations of half the size, as some packages register them under the environment's own name."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012  Gymnasium's own form

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.single_observation_space = gym.spaces.Box(-1, 1, (2,))
        self.single_action_space = gym.spaces.Discrete(2)


@pytest.fixture(params=[Preprocessed, lambda num_envs, speed: None], ids=["other spaces", "cannot be made"])
def env_id(request: pytest.FixtureRequest) -> Iterator[str]:
    """CartPole with a vector environment that is no such thing."""
    name = "Preprocessed-v0"
    plain = gym.spec("CartPole-v1").entry_point
    gym.register(name, entry_point=plain, vector_entry_point=request.param, max_episode_steps=9)
    yield name
    del gym.registry[name]


def test_another_vector_environment_is_left_alone(env_id: str) -> None:
    """Its copies have other spaces, or it does not take the arguments: the plain ones are stepped."""
    config = resolve_config("p", env_id, "a2c", 0, {"preset": "default"})
    info = inspect(config)
    environments = make_environments(config, info, 3)
    assert isinstance(environments, PlainEnvironments)
    assert environments.reset(0).shape == (3, 4)
    environments.close()


def test_gymnasiums_own_is_taken() -> None:
    """CartPole's vector environment is CartPole."""
    config = resolve_config("p", "CartPole-v1", "a2c", 0, {})
    environments = make_environments(config, inspect(config), 3)
    assert isinstance(environments, NativeEnvironments)
    assert environments.reset(0).dtype == np.float32
    environments.close()
