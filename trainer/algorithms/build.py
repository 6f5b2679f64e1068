"""Networks and learner for a configuration."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.algorithms.learner import Learner
from trainer.arrays import Backend, make_backend
from trainer.config import TrainingConfig
from trainer.distributions.interface import Distribution
from trainer.networks.closed_form import ClosedFormMlp
from trainer.networks.interface import Network
from trainer.networks.mlp import MlpSpec, orthogonal_parameters, uniform_parameters


@dataclass(frozen=True)
class NetworkSpecs:
    """The shapes of a policy's networks."""

    actor: MlpSpec
    critic: MlpSpec | None


@dataclass(frozen=True)
class Weights:
    """Flat parameters on the host."""

    actor: np.ndarray  # [P]
    critic: np.ndarray | None  # [P]


def network_specs(config: TrainingConfig, inputs: int, distribution: Distribution) -> NetworkSpecs:
    """The networks for rows of `inputs` numbers."""
    activation = config.activation
    actor = MlpSpec(inputs, config.hidden_sizes, distribution.outputs, activation)
    critic = MlpSpec(inputs, config.critic_hidden_sizes, 1, activation) if config.has_critic else None
    return NetworkSpecs(actor, critic)


def build_learner(
    config: TrainingConfig,
    specs: NetworkSpecs,
    distribution: Distribution,
    device: str,
    dtype: type[np.floating[Any]] = np.float32,
) -> Learner:
    """A learner with initial weights that the seed determines, whatever the device and engine."""
    backend = make_backend(device, autograd=config.engine == "autograd")
    weights = initial_parameters(config, specs)
    actor = _network(config, specs.actor, weights.actor.astype(dtype), backend)
    critic = None
    if specs.critic is not None and weights.critic is not None:
        critic = _network(config, specs.critic, weights.critic.astype(dtype), backend)
    return Learner(config, backend, distribution, actor, critic)


def initial_parameters(config: TrainingConfig, specs: NetworkSpecs) -> Weights:
    """Fresh weights by the configured scheme."""
    rng = np.random.default_rng([config.seed, 0])
    actor = _initial(config, specs.actor, rng, output_gain=0.01)
    critic = None if specs.critic is None else _initial(config, specs.critic, rng, output_gain=1.0)
    return Weights(actor, critic)


def _initial(
    config: TrainingConfig, spec: MlpSpec, rng: np.random.Generator, *, output_gain: float
) -> np.ndarray:
    if config.initialization == "orthogonal":
        return orthogonal_parameters(spec, rng, output_gain=output_gain)
    return uniform_parameters(spec, rng)


def _network(config: TrainingConfig, spec: MlpSpec, initial: np.ndarray, backend: Backend) -> Network:
    parameters = backend.asarray(initial)
    if config.engine != "autograd":
        return ClosedFormMlp(spec, parameters, backend)
    autograd = importlib.import_module("trainer.networks.autograd")  # brings torch
    network: Network = autograd.AutogradNetwork(autograd.mlp_module(spec).to(backend.device), parameters)
    return network
