"""From a configuration and what is known of its environment to a task of the engine on a device."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import Any

import numpy as np
import torch

from policyd.errors import InvalidArgument
from policyd_trainer.algorithms.build import network_specs
from policyd_trainer.config import TrainingConfig
from policyd_trainer.device import actions
from policyd_trainer.device.actions import ActionMap
from policyd_trainer.device.forms import FormEnvironments
from policyd_trainer.device.host import HostStepper
from policyd_trainer.device.interface import Stepper, VectorEnvironment
from policyd_trainer.device.task import DeviceTask, Placement
from policyd_trainer.device.vector import VectorStepper
from policyd_trainer.environments.calls import CONSTRUCTOR, IMPORT
from policyd_trainer.environments.contract import explained
from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.environments.make import EnvironmentInfo, make_environments
from policyd_trainer.environments.seeds import derived
from policyd_trainer.spaces.actions import ActionCodec, DiscreteCodec, MultiDiscreteCodec
from policyd_trainer.spaces.boxes import BoxCodec


def task_of(config: TrainingConfig, info: EnvironmentInfo) -> DeviceTask:
    """The task of a run.

    Its environments are those of `device_env`, or the trainer's own equations for the environment,
    or Gymnasium's on the host.
    """

    def make(placement: Placement) -> Stepper:
        device = placement.device
        if config.device_env is not None:
            seed = derived(config.seed, placement.first)
            environment = make_own(config, placement.total, device)
            return VectorStepper(environment, action_map(info.codec, device), device, seed)
        if lives_on_device(config, info):
            assert info.form is not None, "otherwise it does not live there"
            form: Any = info.form(torch)
            limit = info.max_episode_steps
            ours = FormEnvironments(
                form, placement.total, device, time_limit=limit, streams=placement.streams
            )
            return VectorStepper(ours, action_map(info.codec, device), device)
        first = placement.first * placement.members
        return HostStepper(make_environments(config, info, placement.total, first), config.seed, device)

    specs = network_specs(config, info.encoder.layout, info.codec.distribution)
    return DeviceTask(specs, info.codec.distribution, make, info.encoder.dtype)


def lives_on_device(config: TrainingConfig, info: EnvironmentInfo) -> bool:
    """Whether the environment's steps are computed on the device."""
    if config.device_env is not None:
        return True
    return info.form is not None and hasattr(info.form(torch), "start_from")


def make_own(config: TrainingConfig, num_envs: int, device: torch.device) -> VectorEnvironment:
    """Makes the environment that the setting `device_env` names.

    The class is called as `Class(num_envs=..., device=..., **env_kwargs)`.

    Raises:
        InvalidArgument: there is no such class, or it does not take these arguments.
        EnvironmentFailed: its constructor raised, or the object is not a vector environment.
    """
    assert config.device_env is not None, "the caller looks"
    module, _, name = config.device_env.partition(":")
    if os.getcwd() not in sys.path:  # noqa: PTH109  as `python -m` has it
        sys.path.append(os.getcwd())  # noqa: PTH109
    try:
        with IMPORT:
            factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        wanted = f"module:Class of a vector environment ({error})"
        raise InvalidArgument.of("settings[device_env]", got=config.device_env, wanted=wanted) from error
    arguments = {"num_envs": num_envs, "device": device, **config.env_kwargs}
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        wanted = f"a class that takes {', '.join(arguments)} ({error})"
        raise InvalidArgument.of("settings[device_env]", got=config.device_env, wanted=wanted) from error
    try:
        with CONSTRUCTOR:
            made: VectorEnvironment = factory(**arguments)
    except Exception as error:
        raise EnvironmentFailed(f"{config.device_env}: constructor {explained(error)}") from error
    if getattr(made, "num_envs", None) != num_envs:
        got = getattr(made, "num_envs", None)
        raise EnvironmentFailed(f"{config.device_env}: num_envs is {got}, expected {num_envs}")
    return made


def action_map(codec: ActionCodec, device: torch.device) -> ActionMap:
    """The codec's `to_environment`, as a function of tensors on the device."""
    if isinstance(codec, DiscreteCodec):
        return actions.shifted(int(codec.space.start), device)
    if isinstance(codec, MultiDiscreteCodec):
        return actions.shifted(np.asarray(codec.space.start, np.int64), device, codec.space.shape)
    if isinstance(codec, BoxCodec):
        space, squash = codec.space, codec.options.squash
        return actions.bounded(space.low, space.high, codec.middle, codec.half, squash, device)
    return actions.shifted(0, device, codec.space.shape)  # type: ignore[attr-defined]
