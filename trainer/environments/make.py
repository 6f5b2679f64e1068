"""From an environment's name to environments, and to what is known of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from policy_api.errors import InvalidArgument, UnsupportedSpace
from policy_api.wrappers import wrapped
from trainer.config import TrainingConfig
from trainer.environments.errors import failure
from trainer.environments.interface import Environments
from trainer.environments.native import NativeEnvironments, autoreset_mode
from trainer.environments.plain import PlainEnvironments
from trainer.environments.watchdog import CALL
from trainer.spaces.actions import ActionCodec, codec_for
from trainer.spaces.boxes import GaussianOptions
from trainer.spaces.describe import describe
from trainer.spaces.observations import ACTION_MASK, ObservationEncoder, encoder_for

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EnvironmentInfo:
    """What is known of an environment before it is stepped."""

    encoder: ObservationEncoder
    codec: ActionCodec
    spec: EnvSpec  # as Gymnasium resolved the name

    @property
    def max_episode_steps(self) -> int | None:
        """The time limit of an episode, steps; None: none that is known."""
        return self.spec.max_episode_steps


def inspect(config: TrainingConfig) -> EnvironmentInfo:
    """Makes the environment once and looks at it.

    Raises:
        InvalidArgument: no such environment or module, or wrong keyword arguments.
        UnsupportedSpace: naming the space.
        EnvironmentFailed: its constructor raised.
    """
    env = make_one(config)
    try:
        assert env.spec is not None, "gymnasium.make sets it"
        codec = codec_for(env.action_space, GaussianOptions.of(config))
        seen, given = _first(env)
        mask_width = codec.mask_width if ACTION_MASK in given else 0
        encoder = encoder_for(
            env.observation_space, mask_width, scaled=config.normalize_observations, seen=seen
        )
        return EnvironmentInfo(encoder, codec, env.spec)
    finally:
        env.close()


def _first(env: gym.Env[Any, Any]) -> tuple[Any, Mapping[str, Any]]:
    """An observation, and what the environment tells beside it, an action mask for instance."""
    try:
        with CALL:
            return env.reset(seed=0)
    except Exception as error:
        raise failure("reset", error) from error


def make_one(config: TrainingConfig, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """One environment in its wrappers, without Gymnasium's checker (the collector checks)."""
    arguments: dict[str, Any] = dict(config.env_kwargs)
    if render_mode is not None:
        arguments["render_mode"] = render_mode
    if config.max_episode_steps is not None:
        arguments["max_episode_steps"] = config.max_episode_steps
    try:
        with CALL:
            made = gym.make(config.env_id, disable_env_checker=True, **arguments)
    except (gym.error.UnregisteredEnv, gym.error.DeprecatedEnv, gym.error.Error, ImportError) as error:
        wanted = f"an environment that Gymnasium can make ({error})"
        raise InvalidArgument.of("env_id", got=repr(config.env_id), wanted=wanted) from error
    except TypeError as error:
        raise InvalidArgument.of("settings[env_kwargs]", got=config.env_kwargs, wanted=str(error)) from error
    except Exception as error:
        raise failure(f"{config.env_id}: making it", error) from error
    return cast("gym.Env[Any, Any]", wrapped(made, [wrapper.model_dump() for wrapper in config.wrappers]))


def make_environments(
    config: TrainingConfig, info: EnvironmentInfo, n_envs: int, first: int = 0
) -> Environments:
    """Gymnasium's numpy vector environment where there is a usable one, plain environments otherwise.

    `first` is the number of the first one among the run's; seeds follow from it.
    """
    vector = _make_native(config, info, n_envs)
    if vector is not None:
        return NativeEnvironments(vector, info.encoder, info.codec, first)
    return PlainEnvironments(_make_many(config, n_envs), info.encoder, info.codec, first=first)


def make_plain(
    config: TrainingConfig, info: EnvironmentInfo, n_envs: int, episode_seeds: Iterator[int] | None = None
) -> PlainEnvironments:
    """Ordinary environments in this process."""
    return PlainEnvironments(_make_many(config, n_envs), info.encoder, info.codec, episode_seeds)


def _make_many(config: TrainingConfig, n_envs: int) -> list[gym.Env[Any, Any]]:
    return [make_one(config) for _ in range(n_envs)]


def _make_native(
    config: TrainingConfig, info: EnvironmentInfo, n_envs: int
) -> gym.vector.VectorEnv[Any, Any, Any] | None:
    spec = info.spec
    if n_envs == 1 or spec.vector_entry_point is None or spec.additional_wrappers or config.wrappers:
        return None
    if info.encoder.mask_width:  # vector environments hide the masks of environments that they reset
        return None
    arguments: dict[str, Any] = dict(config.env_kwargs)
    if config.max_episode_steps is not None:
        arguments["max_episode_steps"] = config.max_episode_steps
    try:
        vector = gym.make_vec(spec.id, num_envs=n_envs, vectorization_mode="vector_entry_point", **arguments)
    except Exception as error:  # noqa: BLE001  somebody else's code, and there are the plain environments
        logger.info("%s: stepped one by one, its vector environment cannot be made: %s", spec.id, error)
        return None
    resets = autoreset_mode(vector) in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)
    if resets and _is_same(vector, info):
        return vector
    vector.close()
    return None


def _is_same(vector: gym.vector.VectorEnv[Any, Any, Any], info: EnvironmentInfo) -> bool:
    """Whether its copies have the environment's own spaces; ALE's, for instance, preprocess images."""
    try:
        observed, played = describe(vector.single_observation_space), describe(vector.single_action_space)
    except UnsupportedSpace:
        return False
    return observed == info.encoder.described and played == info.codec.describe()
