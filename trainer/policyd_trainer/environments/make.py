"""From an environment's name to environments, and to what is known of them."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from policyd import masks
from policyd.errors import PolicydError, UnsupportedSpace
from policyd.gym_spaces import describe
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.attributes import attribute, naming
from policyd_trainer.environments.calls import ACTION_MASKS, CONSTRUCTOR, FIRST_RESET, SPACES
from policyd_trainer.environments.construct import close, make_one
from policyd_trainer.environments.contract import reset_result
from policyd_trainer.environments.errors import EnvironmentFailed, at
from policyd_trainer.environments.forms.interface import FormFactory
from policyd_trainer.environments.forms.lookup import form_of
from policyd_trainer.environments.interface import Environments
from policyd_trainer.environments.native import NativeEnvironments, autoreset_mode
from policyd_trainer.environments.ordinary import OrdinaryEnvironments
from policyd_trainer.environments.vectors import VectorEnvironments
from policyd_trainer.spaces.actions import ActionCodec, codec_for
from policyd_trainer.spaces.boxes import GaussianOptions
from policyd_trainer.spaces.observations import ObservationEncoder, encoder_for

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """What one environment shows when it is made and reset, whatever the run's settings."""

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    spec: EnvSpec  # as Gymnasium resolved the name
    seen: Any  # one observation
    has_mask: bool  # whether it says which actions are allowed
    form: FormFactory | None = None  # its equations, for many episodes at once; None: unknown
    only_one: str = ""  # why a second one cannot exist beside it; empty: it can, or nobody tried


@dataclass(frozen=True)
class EnvironmentInfo:
    """What the trainer knows about an environment before its first step."""

    encoder: ObservationEncoder
    codec: ActionCodec
    spec: EnvSpec  # as Gymnasium resolved the name
    form: FormFactory | None = None  # its equations, for many episodes at once; None: unknown

    @classmethod
    def of(cls, config: TrainingConfig, look: Look) -> EnvironmentInfo:
        """Combines a look with a run's settings.

        Raises:
            UnsupportedSpace: names the space.
            InvalidArgument: the settings do not fit the environment.
        """
        codec = codec_for(look.action_space, GaussianOptions.of(config))
        encoder = encoder_for(
            look.observation_space,
            codec.mask_width if look.has_mask else 0,
            branches=codec.mask_branches if look.has_mask else (),
            scaled=config.normalize_observations,
            seen=look.seen,
        )
        form = None if config.wrappers or encoder.mask_width else look.form
        return cls(encoder, codec, look.spec, form)

    @property
    def max_episode_steps(self) -> int | None:
        """The time limit of an episode in steps; None: none is known."""
        return self.spec.max_episode_steps

    @property
    def best_return(self) -> float:
        """No episode returns more than this; inf if nothing is known about the rewards."""
        if self.form is None:
            return math.inf
        most = self.form(np).highest_reward
        return most * (self.max_episode_steps or math.inf) if most > 0 else most  # it has one step at least


def inspect(config: TrainingConfig) -> EnvironmentInfo:
    """Makes the environment once and looks at it.

    Raises:
        InvalidArgument: no such environment or module, or wrong keyword arguments.
        UnsupportedSpace: naming the space.
        EnvironmentFailed: its constructor or its reset raised.
    """
    return EnvironmentInfo.of(config, look_at(config))


def look_at(config: TrainingConfig, *, beside: bool = False) -> Look:
    """Makes the environment, resets it, and returns what it shows.

    `beside`: also tries whether a second environment can exist at the same time.

    Raises:
        PolicydError: the same errors as `inspect`; EnvironmentFailed also if a second environment
            cannot be made even after the first one was closed.
    """
    seen = _look(config, beside=beside)
    if seen.only_one:
        close(make_one(config))
    return seen


def _look(config: TrainingConfig, *, beside: bool) -> Look:
    env = make_one(config)
    try:
        observation_space = attribute(env, "observation_space", gym.Space)
        action_space = attribute(env, "action_space", gym.Space)
        spec = attribute(env, "spec", EnvSpec)
        with naming("the spaces"):
            codec_for(action_space)  # refuses an unsupported space before anything runs
            describe(observation_space)
        with naming("reset"), FIRST_RESET:
            answer = env.reset(seed=0)
        with naming("reset"):
            seen, info = reset_result(answer)
        with naming("action_masks"), ACTION_MASKS:
            has_mask = masks.given(env, seen, info) is not None
        with naming("vector_form"), SPACES:
            form = form_of(env)
        is_one = beside and form is None and spec.vector_entry_point is None
        return Look(
            observation_space, action_space, spec, seen, has_mask, form, _second(config) if is_one else ""
        )
    except EnvironmentFailed as error:
        raise at(config.env_id, error) from error
    finally:
        close(env)


def _second(config: TrainingConfig) -> str:
    """Why a second environment cannot be made while the first one exists; empty if it can."""
    try:
        close(make_one(config))
    except PolicydError as error:
        return error.message
    return ""


def make_environments(
    config: TrainingConfig, info: EnvironmentInfo, n_envs: int, first: int = 0
) -> Environments:
    """Makes the vector form, else the environment's own vector environment, else plain ones.

    `first` is the number of the first one among the run's environments. The seeds depend on it.
    """
    if info.form is not None:
        return VectorEnvironments(info.form(np), n_envs, info.codec, info.max_episode_steps, first=first)
    vector = _make_native(config, info, n_envs)
    if vector is not None:
        return NativeEnvironments(vector, info.encoder, info.codec, first)
    return OrdinaryEnvironments(_make_many(config, n_envs), info.encoder, info.codec, first=first)


def make_seeded(config: TrainingConfig, info: EnvironmentInfo, episode_seeds: range) -> Environments:
    """Environments whose first episodes are those of `reset(seed=...)`, one for each seed."""
    count, seeds = len(episode_seeds), iter(episode_seeds)
    if info.form is not None:
        return VectorEnvironments(info.form(np), count, info.codec, info.max_episode_steps, seeds)
    return OrdinaryEnvironments(_make_many(config, count), info.encoder, info.codec, seeds)


def _make_many(config: TrainingConfig, n_envs: int) -> list[gym.Env[Any, Any]]:
    """Makes `n_envs` environments. If one fails, it closes those already made and raises."""
    made: list[gym.Env[Any, Any]] = []
    try:
        for _ in range(n_envs):
            made.append(make_one(config))  # noqa: PERF401  if one fails, those already made are closed
    except PolicydError as error:
        for env in made:
            close(env)
        if made:
            beside = f"environment {len(made)} cannot be made beside the others (does n_envs=1 help?)"
            raise at(beside, _failed(error)) from error
        raise
    return made


def _failed(error: PolicydError) -> EnvironmentFailed:
    return error if isinstance(error, EnvironmentFailed) else EnvironmentFailed(error.message)


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
    vector = None
    try:
        with CONSTRUCTOR:
            vector = gym.make_vec(
                spec.id, num_envs=n_envs, vectorization_mode="vector_entry_point", **arguments
            )
        resets = autoreset_mode(vector) in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)
        if resets and _is_same(vector, info):
            return vector
    except Exception as error:  # noqa: BLE001  any error of a user's code; plain environments are used instead
        logger.info("%s: stepped one by one, its vector environment cannot be used: %s", spec.id, error)
    if vector is not None:
        close(vector)
    return None


def _is_same(vector: gym.vector.VectorEnv[Any, Any, Any], info: EnvironmentInfo) -> bool:
    """Whether the vector environment has the same spaces as the single environment.

    ALE's vector environment, for instance, preprocesses images.
    """
    try:
        observed, played = describe(vector.single_observation_space), describe(vector.single_action_space)
    except UnsupportedSpace:
        return False
    return observed == info.encoder.described and played == info.codec.describe()
