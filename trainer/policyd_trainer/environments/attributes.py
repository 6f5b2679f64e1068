"""Reads what an environment says of itself.

What is missing, or something else, is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import gymnasium as gym

from policyd.errors import PolicydError
from policyd_trainer.environments.calls import SPACES
from policyd_trainer.environments.contract import explained
from policyd_trainer.environments.errors import EnvironmentFailed

T = TypeVar("T")


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Raises what the block raises as EnvironmentFailed that names this part of the environment."""
    try:
        yield
    except PolicydError:
        raise
    except Exception as error:
        raise EnvironmentFailed(f"{what} {explained(error)}") from error


def attribute(env: gym.Env[Any, Any], name: str, kind: type[T]) -> T:
    """The attribute of the environment.

    Raises:
        EnvironmentFailed: reading it raised, or it is not of this type.
    """
    with naming(name):
        with SPACES:
            value = getattr(env, name)
        if isinstance(value, kind):
            return value
    raise EnvironmentFailed(f"{name} is of type {type(value).__name__}, expected a gymnasium {kind.__name__}")
