"""The benchmark's tasks, made without Gymnasium."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.images import Catch
from policyd_trainer.algorithms.acting import ActingCopy
from policyd_trainer.algorithms.build import build_learner, network_specs
from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.device.actions import bounded, shifted
from policyd_trainer.device.forms import FormEnvironments
from policyd_trainer.device.interface import Stepper
from policyd_trainer.device.loop import DeviceLoop
from policyd_trainer.device.task import DeviceTask, Placement
from policyd_trainer.device.vector import VectorStepper
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.distributions.gaussian import DiagonalGaussian
from policyd_trainer.distributions.interface import Distribution
from policyd_trainer.environments.forms.cartpole import CartPole
from policyd_trainer.environments.forms.pendulum import Pendulum
from policyd_trainer.environments.vectors import VectorEnvironments
from policyd_trainer.networks.layout import RowLayout, Segment
from policyd_trainer.rollouts.buffer import RolloutBuffer
from policyd_trainer.rollouts.collector import LocalCollector

LIMITS = {"CartPole-v1": 500, "Pendulum-v1": 200}
FORMS: dict[str, Any] = {"CartPole-v1": CartPole, "Pendulum-v1": Pendulum}
ROWS = {"CartPole-v1": 4, "Pendulum-v1": 3}
TORQUE = 2.0  # Pendulum's largest torque


@dataclass(frozen=True)
class Task:
    """One environment, with the settings to train on it."""

    env_id: str  # `CartPole-v1`, `Pendulum-v1` or `Catch`, whose observations are images
    config: TrainingConfig

    @property
    def distribution(self) -> Distribution:
        """The distribution of its actions."""
        if self.env_id == "Pendulum-v1":
            return DiagonalGaussian(1)
        return Categorical(Catch.actions if self.env_id == "Catch" else 2)

    @property
    def layout(self) -> RowLayout:
        """The layout of its observations."""
        if self.env_id != "Catch":
            return RowLayout.of_numbers(ROWS[self.env_id])
        size = Catch.size
        return RowLayout((Segment("image", size * size, image=(size, size, 1), divisor=255.0),))

    def make(self, placement: Placement) -> Stepper:
        """Makes its environments on a device."""
        device = placement.device
        if self.env_id == "Catch":
            return VectorStepper(Catch(placement.total, device), shifted(0, device), device)
        form = FORMS[self.env_id](torch)
        limit, streams = LIMITS[self.env_id], placement.streams
        environments = FormEnvironments(form, placement.total, device, time_limit=limit, streams=streams)
        actions: Any = shifted(0, device)
        if self.env_id == "Pendulum-v1":
            bound = np.full(1, TORQUE, np.float32)
            actions = bounded(-bound, bound, 0 * bound, bound, "clip", device)
        return VectorStepper(environments, actions, device)

    def on_device(self, device: torch.device, *, capture: bool = True) -> DeviceLoop:
        """Its training loop on a device."""
        specs = network_specs(self.config, self.layout, self.distribution)
        dtype = np.uint8 if self.env_id == "Catch" else np.float32
        task = DeviceTask(specs, self.distribution, self.make, dtype)
        return DeviceLoop(self.config, task, device, capture=capture)

    def on_cpu(self) -> TrainingLoop:
        """Its training loop with the numpy engine, as a run on a CPU would use."""
        config, size = self.config, ROWS[self.env_id]
        specs = network_specs(config, self.layout, self.distribution)
        learner = build_learner(config, specs, self.distribution, "cpu")
        codec: Any = _Codec(self.env_id)
        environments = VectorEnvironments(FORMS[self.env_id](np), config.n_envs, codec, LIMITS[self.env_id])
        buffer = RolloutBuffer(config.n_steps, config.n_envs, size, self.distribution)
        collector = LocalCollector(environments, buffer, episodes=None, step_limit=10**9)
        collector.reset(config.seed)
        acting = ActingCopy(learner, specs.actor, config.ema_decay)
        return TrainingLoop(config, specs, learner, acting, collector)


class _Codec:
    """Converts stored actions to the environment's, in numpy."""

    def __init__(self, env_id: str) -> None:
        self._scale = TORQUE if env_id == "Pendulum-v1" else None

    def to_environment(self, actions: np.ndarray) -> np.ndarray:
        """Converts stored actions [N, ...] to the environment's [N, ...]."""
        if self._scale is None:
            return actions
        scaled: np.ndarray = (actions * self._scale).clip(-self._scale, self._scale)
        return scaled


def task(env_id: str, n_envs: int, n_steps: int = 16, minibatches: int = 4, **settings: Any) -> Task:
    """A task with the settings of the CartPole preset, except for those that are given."""
    name = env_id if env_id in LIMITS else "CartPole-v1"
    chosen = {
        "n_envs": n_envs,
        "n_steps": n_steps,
        "minibatch_size": n_envs * n_steps // minibatches,
        "total_timesteps": 2**40,
        "lr_schedule": "constant",
        "use_sde": False,
        **settings,
    }
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in chosen.items()}
    return Task(env_id, resolve_config("bench", name, "a2c", 0, {"preset": "auto", **texts}))
