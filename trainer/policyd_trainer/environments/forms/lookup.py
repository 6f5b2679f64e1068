"""Which environments have a vector form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.environments.forms.acrobot import Acrobot
from policyd_trainer.environments.forms.cartpole import CartPole
from policyd_trainer.environments.forms.interface import FormFactory
from policyd_trainer.environments.forms.mountain_car import MountainCar
from policyd_trainer.environments.forms.pendulum import Pendulum

#: The form for each entry point that Gymnasium registers. With constructor arguments there is none.
FORMS: Mapping[str, FormFactory] = {
    "gymnasium.envs.classic_control.cartpole:CartPoleEnv": CartPole,
    "gymnasium.envs.classic_control.acrobot:AcrobotEnv": Acrobot,
    "gymnasium.envs.classic_control.mountain_car:MountainCarEnv": MountainCar,
    "gymnasium.envs.classic_control.pendulum:PendulumEnv": Pendulum,
}
OURS = {"disable_env_checker", "max_episode_steps", "order_enforce"}


def form_of(env: gym.Env[Any, Any]) -> FormFactory | None:
    """The form of an environment that `gymnasium.make` made, or None.

    An environment's own `vector_form` comes first. Arguments and wrappers change what an
    environment does, so with them there is no form.
    """
    spec = env.spec
    if spec is None or spec.additional_wrappers or set(spec.kwargs) - {"render_mode"}:
        return None
    own: FormFactory | None = getattr(type(env.unwrapped), "vector_form", None)
    if own is None:
        return FORMS.get(str(spec.entry_point))
    _check(own)
    return own


def _check(factory: FormFactory) -> None:
    """Raises EnvironmentFailed if an environment's own form lacks a member that is used."""
    if not callable(factory):
        raise EnvironmentFailed(f"vector_form is of type {type(factory).__name__}, expected a VectorForm")
    form = factory(np)
    for name in ("lowest_reward", "highest_reward"):
        if not isinstance(value := getattr(form, name), float | int):
            raise EnvironmentFailed(f"vector_form has {name}={value!r}, expected a number")
    for name in ("start", "observe", "step"):
        if not callable(getattr(form, name)):
            raise EnvironmentFailed(f"vector_form has no method {name}")
