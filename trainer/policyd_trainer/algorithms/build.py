"""Networks and learner for a configuration."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from policyd.errors import InvalidArgument
from policyd_trainer.algorithms.learner import Learner
from policyd_trainer.arrays import Backend, make_backend
from policyd_trainer.config import TrainingConfig
from policyd_trainer.distributions.gaussian import DiagonalGaussian
from policyd_trainer.distributions.interface import Distribution
from policyd_trainer.distributions.state_dependent import StateDependentGaussian
from policyd_trainer.networks.composed import ComposedNetwork
from policyd_trainer.networks.interface import Network
from policyd_trainer.networks.layout import RowLayout
from policyd_trainer.networks.mlp import MlpSpec, orthogonal_parameters, uniform_parameters
from policyd_trainer.networks.perceptrons import perceptron
from policyd_trainer.networks.spec import Head, NetworkSpec, flattened


@dataclass(frozen=True)
class NetworkSpecs:
    """The shapes of a policy's networks."""

    actor: NetworkSpec
    critic: NetworkSpec | None


@dataclass(frozen=True)
class Weights:
    """Flat parameters on the host."""

    actor: np.ndarray  # [P]
    critic: np.ndarray | None  # [P]


def network_specs(config: TrainingConfig, rows: RowLayout | int, distribution: Distribution) -> NetworkSpecs:
    """The networks for rows of this layout. An int means rows of that many plain numbers."""
    layout = RowLayout.of_numbers(rows) if isinstance(rows, int) else rows
    inputs, activation = flattened(layout), config.activation
    head, outputs = _head(distribution)
    body = MlpSpec(inputs, config.hidden_sizes, outputs, activation)
    actor = NetworkSpec(layout, body, head, config.log_std_init, applies_mask=layout.mask > 0)
    if not config.has_critic:
        return NetworkSpecs(actor, None)
    critic = MlpSpec(inputs, config.critic_hidden_sizes, 1, activation)
    return NetworkSpecs(actor, NetworkSpec(layout, critic))


def build_learner(
    config: TrainingConfig,
    specs: NetworkSpecs,
    distribution: Distribution,
    device: str,
    dtype: type[np.floating[Any]] = np.float32,
) -> Learner:
    """A learner with initial weights that depend on the seed only, on any device and engine."""
    backend = make_backend(device, autograd=_needs_autograd(config, specs.actor))
    weights = initial_parameters(config, specs)
    actor = _network(config, specs.actor, weights.actor.astype(dtype), backend)
    critic = None
    if specs.critic is not None and weights.critic is not None:
        critic = _network(config, specs.critic, weights.critic.astype(dtype), backend)
    return Learner(config, backend, distribution, actor, critic)


def initial_parameters(config: TrainingConfig, specs: NetworkSpecs) -> Weights:
    """Fresh weights, drawn by the scheme that `config.initialization` names."""
    rng = np.random.default_rng([config.seed, 0])
    actor = _initial(config, specs.actor, rng, output_gain=0.01)
    critic = None if specs.critic is None else _initial(config, specs.critic, rng, output_gain=1.0)
    return Weights(actor, critic)


def _initial(
    config: TrainingConfig, spec: NetworkSpec, rng: np.random.Generator, *, output_gain: float
) -> np.ndarray:
    def drawn(perceptron: MlpSpec, gain: float) -> np.ndarray:
        if config.initialization == "orthogonal":
            return orthogonal_parameters(perceptron, rng, output_gain=gain)
        return uniform_parameters(perceptron, rng)

    # A convolution's weights are drawn like those of a linear layer whose input is one window.
    layers = [MlpSpec(c.fan_in, (), c.channels, "relu") for stack in spec.convolutions for c in stack]
    parts = [drawn(layer, math.sqrt(2)) for layer in layers]
    parts.append(drawn(spec.body, output_gain))
    parts.append(np.full(spec.exploration, spec.log_std_init, np.float32))
    return np.concatenate(parts)


def _head(distribution: Distribution) -> tuple[Head, int]:
    """The network's exploration part, and the number of outputs that the perceptron has."""
    if isinstance(distribution, DiagonalGaussian):
        return "log_std", distribution.size
    if isinstance(distribution, StateDependentGaussian):
        return "state_dependent", distribution.size
    return "outputs", distribution.outputs


def _needs_autograd(config: TrainingConfig, spec: NetworkSpec) -> bool:
    if spec.layout.has_images and config.engine == "closed_form":
        wanted = "auto or autograd: the observations are images"
        raise InvalidArgument.of("settings[engine]", got="closed_form", wanted=wanted)
    return spec.layout.has_images or config.engine == "autograd"


def _network(config: TrainingConfig, spec: NetworkSpec, initial: np.ndarray, backend: Backend) -> Network:
    parameters = backend.asarray(initial)
    if _needs_autograd(config, spec):
        autograd = importlib.import_module("policyd_trainer.networks.autograd")  # imports torch
        network: Network = autograd.AutogradNetwork(
            autograd.NetworkModule(spec).to(backend.device), parameters
        )
        return network
    if spec.is_perceptron:
        return perceptron(spec.body, parameters, backend)
    return ComposedNetwork(spec, parameters, backend)
