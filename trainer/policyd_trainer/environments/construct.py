"""Makes one environment from its name. What cannot be made is refused with what to do about it."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Mapping
from typing import Any, cast

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from policyd.errors import InvalidArgument, PolicydError
from policyd.wrappers import wrapped
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.calls import CLOSE, CONSTRUCTOR, IMPORT
from policyd_trainer.environments.contract import explained
from policyd_trainer.environments.errors import EnvironmentFailed, at

Env = gym.Env[Any, Any]
logger = logging.getLogger(__name__)


def make_one(config: TrainingConfig, render_mode: str | None = None) -> Env:
    """Makes one environment in its wrappers, without Gymnasium's checker: the collector checks.

    Raises:
        InvalidArgument: no such environment or module, or wrong keyword arguments.
        EnvironmentFailed: its module or its constructor raised.
    """
    arguments: dict[str, Any] = dict(config.env_kwargs)
    if render_mode is not None:
        arguments["render_mode"] = render_mode
    if config.max_episode_steps is not None:
        arguments["max_episode_steps"] = config.max_episode_steps
    try:
        _import(config.env_id)
        with CONSTRUCTOR:
            made = gym.make(_registered(config.env_id), disable_env_checker=True, **arguments)
            return cast("Env", wrapped(made, [wrapper.model_dump() for wrapper in config.wrappers]))
    except EnvironmentFailed as error:
        raise at(config.env_id, error) from error
    except PolicydError:
        raise
    except Exception as error:
        raise _why_not(config, error) from error


def close(environment: Any) -> None:
    """Closes an environment. If that fails, it only logs the error."""
    try:
        with CLOSE:
            environment.close()
    except Exception as error:  # noqa: BLE001  any error of a user's code, and the environment is no longer needed
        logger.warning("closing an environment failed, the run goes on: %r", error)


_SEEN: dict[str, EnvSpec] = {}  # env_id -> its registration, which the environment's own code may remove


def _registered(env_id: str) -> str | EnvSpec:
    """The name, or the registration that it had when it was first made, if that is gone."""
    spec = gym.registry.get(env_id.rpartition(":")[2])
    if spec is not None:
        _SEEN.setdefault(env_id, spec)
    return env_id if spec is not None else _SEEN.get(env_id, env_id)


def _import(env_id: str) -> None:
    """Imports what the environment needs.

    It does so first, so that the time limit of its constructor does not include the import.
    """
    module, separator, _ = env_id.rpartition(":")
    try:
        with IMPORT:
            if separator:
                importlib.import_module(module)
            else:
                spec = gym.registry.get(env_id)
                if spec is not None and isinstance(spec.entry_point, str):
                    importlib.import_module(spec.entry_point.partition(":")[0])
    except (ModuleNotFoundError, EnvironmentFailed):
        raise
    except ImportError as error:
        raise ModuleNotFoundError(str(error)) from error
    except Exception as error:
        raise EnvironmentFailed(f"importing {module or env_id} {explained(error)}") from error


def _why_not(config: TrainingConfig, error: Exception) -> PolicydError:
    """The error for a wrong name, for wrong arguments, or for an environment that fails."""
    if _is_of_the_name(config.env_id, error):
        return InvalidArgument.of("env_id", got=repr(config.env_id), wanted=_wanted(config, error))
    if isinstance(error, TypeError) and _is_no_environment(error):
        wanted = (
            f"a gymnasium.Env of one agent. {error} An environment of several agents (PettingZoo) needs a "
            "wrapper that makes it one agent's; one of the old package gym needs gymnasium.Env as its base"
        )
        return InvalidArgument.of("env_id", got=repr(config.env_id), wanted=wanted)
    if isinstance(error, TypeError) and _is_of_the_arguments(error):
        return InvalidArgument.of("settings[env_kwargs]", got=config.env_kwargs, wanted=str(error))
    cause = error.__cause__  # gymnasium.make raises the TypeError once more, with the arguments
    own = cause if isinstance(error, TypeError) and isinstance(cause, TypeError) else error
    return EnvironmentFailed(f"{config.env_id}: constructor {explained(own)}")


def _is_of_the_name(env_id: str, error: Exception) -> bool:
    """Whether there is no such environment, or its import needs a module that is missing.

    A registered environment may raise the same errors from its own code.
    """
    return isinstance(error, gym.error.Error | ModuleNotFoundError) and env_id not in _SEEN


def _is_no_environment(error: TypeError) -> bool:
    text = str(error)
    return "must inherit from the gymnasium.Env" in text or "incompatible with Gymnasium" in text


def _is_of_the_arguments(error: TypeError) -> bool:
    """Whether the constructor refused its arguments; False if code inside it raised."""
    cause = error.__cause__
    trace = None if cause is None else cause.__traceback__
    return trace is not None and trace.tb_next is None and "argument" in str(cause)


def _wanted(config: TrainingConfig, error: Exception) -> str:
    """What was expected instead of a name that cannot be made."""
    name = config.env_id.rpartition(":")[2]
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "gym":
        return "one for Gymnasium: this one needs the old package gym; import gymnasium as gym instead"
    if name in _old_registry():
        return (
            "an environment registered with Gymnasium: this one is registered in the old package gym; "
            "call gymnasium.register instead, and inherit from gymnasium.Env"
        )
    return f"an environment that Gymnasium can make ({error})"


def _old_registry() -> Mapping[str, Any]:
    """The environments registered in the old package gym, if something has imported it."""
    module = sys.modules.get("gym.envs.registration")
    registry = getattr(module, "registry", {})
    specs = getattr(registry, "env_specs", registry)  # before gym 0.26 an object with env_specs
    return specs if isinstance(specs, Mapping) else {}
