"""What an environment says of itself may be missing, of another type, or raise.

The environment has failed then, and the message names the part. It is no mistake of who asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from policyd.errors import InvalidArgument
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.environments.forms.cartpole import CartPole
from policyd_trainer.environments.make import inspect


class Ordinary(gym.Env[Any, Any]):
    """An environment without peculiarities."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Box(0.0, 1.0, (2,), np.float32)
        self.action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """Draws an observation."""
        super().reset(seed=seed, options=options)
        return self.np_random.random(2, np.float32), {}


class _Raises:
    """An attribute that raises when it is read, and accepts any value."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self
        raise self._error

    def __set__(self, instance: object, value: object) -> None:
        """Ignores the value."""


class _Fixed:
    """An attribute that keeps its value."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __get__(self, instance: object, owner: type) -> Any:
        return self._value

    def __set__(self, instance: object, value: object) -> None:
        """Ignores the value."""


class _HalfAForm:
    lowest_reward, highest_reward = 0.0, 1.0

    def __init__(self, numpy: Any) -> None:
        """Accepts the arguments of a form."""


class _BoundlessForm(CartPole):
    highest_reward = None  # type: ignore[assignment]


def _constructor(error: Exception) -> Callable[..., None]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def configured(name: str, **attributes: Any) -> TrainingConfig:
    """The configuration for an environment with these attributes."""
    kind: Any = type(name, (Ordinary,), attributes)
    gym.register(f"{name}-v0", entry_point=kind, disable_env_checker=True)
    return resolve_config("p", f"{name}-v0", "a2c", 0, {})


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes afterwards what the test has registered."""
    monkeypatch.setattr(gym.envs.registration, "registry", dict(gym.registry))
    monkeypatch.setattr(gym, "registry", gym.envs.registration.registry)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("metadata", None, "constructor .* metadata to be dict, actual type: <class 'NoneType'>"),
        ("metadata", ["rgb_array"], "constructor .* metadata to be dict, actual type: <class 'list'>"),
        ("spec", _Fixed(None), "constructor .* Gymnasium's `assert env.spec is not None`"),
        ("spec", _Raises(TypeError("of my own")), "constructor failed with TypeError: of my own"),
        ("unwrapped", None, "constructor .* Gymnasium's `env.unwrapped.spec"),
        ("unwrapped", _Raises(gym.error.Error("inside")), "constructor failed with Error: inside"),
        ("observation_space", _Fixed(None), "observation_space is of type NoneType, expected .* Space"),
        ("observation_space", _Raises(ValueError("no camera")), "observation_space .* no camera"),
        ("action_space", _Fixed([3]), "action_space is of type list, expected a gymnasium Space"),
        ("action_space", _Raises(AttributeError("not yet")), "action_space failed with AttributeError"),
        ("np_random", _Fixed(None), "reset failed with AttributeError: 'NoneType'"),
        ("action_masks", _constructor(ValueError("no mask")), "action_masks failed with ValueError"),
        ("reset", None, "reset failed with TypeError: 'NoneType' object is not callable"),
        ("__init__", None, "constructor failed with TypeError: 'NoneType' object is not callable"),
        ("__init__", _constructor(gym.error.Error("no licence")), "constructor failed with Error"),
        ("__init__", _constructor(ModuleNotFoundError("No module named 'x'")), "constructor .* named 'x'"),
        ("__getattribute__", None, "constructor failed with TypeError"),
        ("vector_form", 5, "vector_form is of type int"),
        ("vector_form", _HalfAForm, "vector_form .* no attribute 'start'"),
        ("vector_form", _BoundlessForm, "vector_form has highest_reward=None, expected a number"),
    ],
)
def test_an_attribute_that_is_wrong_is_named(name: str, value: Any, told: str) -> None:
    """The error names it, for every kind of attribute and wherever it is read first."""
    with pytest.raises(EnvironmentFailed, match=f"Wrong-v0: {told}"):
        inspect(configured("Wrong", **{name: value}))


def test_a_space_that_was_never_set_is_named() -> None:
    """The error names the space that a constructor forgot to set."""
    with pytest.raises(EnvironmentFailed, match="observation_space failed with AttributeError"):
        inspect(configured("Bare", __init__=lambda self: None))


def test_a_name_or_arguments_that_are_wrong_are_the_callers() -> None:
    """Errors for a wrong name or arguments differ from those of an environment that fails."""
    config = configured("Strict")
    with pytest.raises(InvalidArgument, match=r"env_kwargs.*unexpected keyword argument 'size'"):
        inspect(config.model_copy(update={"env_kwargs": {"size": 3}}))
    for unknown in ("Unknown-v0", "Strict-v7"):
        with pytest.raises(InvalidArgument, match="env_id: got"):
            inspect(config.model_copy(update={"env_id": unknown}))
