"""Which environments a run steps.

Gymnasium's vector environment only where it is the same environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv
from gymnasium.vector import AutoresetMode

from policyd_trainer.config import resolve_config
from policyd_trainer.environments.make import inspect, make_environments
from policyd_trainer.environments.native import NativeEnvironments
from policyd_trainer.environments.ordinary import OrdinaryEnvironments


class Preprocessed(gym.vector.VectorEnv[Any, Any, Any]):
    """Observations of half the size.

    Some packages register such a vector environment under the environment's own name.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012  Gymnasium's own form

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.single_observation_space = gym.spaces.Box(-1, 1, (2,))
        self.single_action_space = gym.spaces.Discrete(2)


@pytest.fixture(params=[Preprocessed, lambda num_envs, speed: None], ids=["other spaces", "cannot be made"])
def env_id(request: pytest.FixtureRequest) -> Iterator[str]:
    """An environment with a vector environment that differs from it."""
    name = "Preprocessed-v0"
    plain = gym.spec("MountainCarContinuous-v0").entry_point
    gym.register(name, entry_point=plain, vector_entry_point=request.param, max_episode_steps=9)
    yield name
    del gym.registry[name]


def test_another_vector_environment_is_left_alone(env_id: str) -> None:
    """If its copies have other spaces, or it refuses the arguments, it is not used.

    Plain environments are stepped instead.
    """
    config = resolve_config("p", env_id, "a2c", 0, {"preset": "default"})
    info = inspect(config)
    environments = make_environments(config, info, 3)
    assert isinstance(environments, OrdinaryEnvironments)
    assert environments.reset(0).shape == (3, 2)
    environments.close()


def test_an_environments_own_vector_environment_is_taken() -> None:
    """A vector environment is used if its copies have the spaces of the environment."""
    name = "Own-v0"
    plain: Any = CartPoleEnv
    vector: Any = CartPoleVectorEnv
    gym.register(name, entry_point=plain, vector_entry_point=vector)
    try:
        config = resolve_config("p", name, "a2c", 0, {"max_episode_steps": "9"})
        environments = make_environments(config, inspect(config), 3)
        assert isinstance(environments, NativeEnvironments)
        assert environments.reset(0).dtype == np.float32
        environments.close()
    finally:
        del gym.registry[name]
