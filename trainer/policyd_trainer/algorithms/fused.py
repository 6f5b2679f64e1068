"""Updates of categorical policies in one compiled call per pass: no Python between minibatches.

At minibatches of 64 the arithmetic of a step takes 60 us; Python around it took as long again.
"""

from __future__ import annotations

import math

import numpy as np

from policyd_trainer import compiled
from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.rates import Rates
from policyd_trainer.arrays import Array
from policyd_trainer.config import TrainingConfig
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.distributions.interface import Distribution
from policyd_trainer.networks.interface import Network
from policyd_trainer.optimization.optimizers import Adam, Optimizer


def is_fused(
    config: TrainingConfig, distribution: Distribution, networks: list[Network], optimizers: list[Optimizer]
) -> bool:
    """Whether the compiled passes below can do this learner's updates."""
    return (
        compiled.AVAILABLE
        and isinstance(distribution, Categorical)
        and config.critic_gradient == "semi"
        and all(isinstance(network, compiled.perceptron.Perceptron) for network in networks)
        and all(isinstance(optimizer, Adam) for optimizer in optimizers)
    )


def actor_pass(
    config: TrainingConfig, actor: Network, optimizer: Optimizer, batch: Batch, order: Array, rates: Rates
) -> float:
    """The actor's steps over minibatches of the rows in `order` [B].

    Returns the norm of the last gradient. If it is not finite, the last step was not taken.
    """
    old = batch.old_log_probs if config.clip_range is not None else None
    norm: float = compiled.passes.actor_pass(
        actor,
        optimizer,
        _floats(batch.observations),
        np.ascontiguousarray(batch.actions, np.int64),
        _floats(batch.advantages),
        None if old is None else _floats(old),
        order,
        config.minibatch_size or len(batch),
        scale=batch.scale,
        ent_coef=rates.ent_coef,
        clip_range=config.clip_range or math.inf,
        limit=config.max_grad_norm or math.inf,
        rate=rates.learning_rate,
    )
    return norm


def critic_pass(
    config: TrainingConfig, critic: Network, optimizer: Optimizer, batch: Batch, order: Array, rates: Rates
) -> float:
    """Does the same for the critic."""
    norm: float = compiled.passes.critic_pass(
        critic,
        optimizer,
        _floats(batch.observations),
        _floats(batch.value_targets),
        _floats(batch.values),
        order,
        config.critic_minibatch_size or config.minibatch_size or len(batch),
        scale=config.vf_coef * batch.scale,
        clip_range=config.clip_range_vf or math.inf,
        limit=config.critic_max_grad_norm or config.max_grad_norm or math.inf,
        rate=rates.critic_learning_rate,
    )
    return norm


def _floats(array: Array) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)
