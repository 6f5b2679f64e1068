"""Losses of a batch and their gradients with respect to the parameters."""

from __future__ import annotations

from typing import Any

from trainer.algorithms.batches import Batch
from trainer.algorithms.losses import value_gradient, value_loss
from trainer.arrays import Array
from trainer.config import TrainingConfig
from trainer.distributions.interface import Distribution
from trainer.networks.interface import Network


def actor_loss(xp: Any, distribution: Distribution, actor: Network, batch: Batch, ent_coef: float) -> Array:
    """The number scale * sum_b (-A_b log pi(a_b|s_b) - ent_coef * H(pi(.|s_b)))."""
    outputs = actor.outputs(batch.observations)
    log_probs = distribution.log_probs(xp, outputs, batch.actions)
    entropy = distribution.entropy(xp, outputs)
    return batch.scale * (-(batch.advantages * log_probs).sum() - ent_coef * entropy.sum())


def actor_gradient(
    xp: Any, distribution: Distribution, actor: Network, batch: Batch, ent_coef: float
) -> Array:
    """The gradient of actor_loss [P]. Advantages are constants in it."""
    outputs = actor.forward(batch.observations)
    weights = batch.advantages * batch.scale
    return actor.backward(
        distribution.loss_gradient(xp, outputs, batch.actions, weights, ent_coef * batch.scale)
    )


def critic_loss(xp: Any, config: TrainingConfig, critic: Network, batch: Batch) -> Array:
    """vf_coef * scale * sum_b (target_b - V(s_b))^2, clipped where that is configured."""
    values = critic.outputs(batch.observations)[:, 0]
    errors = value_loss(xp, values, batch.value_targets, batch.values, config.clip_range_vf)
    return config.vf_coef * batch.scale * errors.sum()


def critic_gradient(xp: Any, config: TrainingConfig, critic: Network, batch: Batch) -> Array:
    """The gradient of critic_loss [P].

    With critic_gradient `full` the target r + gamma V(s') moves too, as in the course, where it is not
    detached: d delta^2 = 2 delta (gamma dV(s') - dV(s)) (Baird 1995, residual gradient).
    """
    scale = config.vf_coef * batch.scale
    if config.critic_gradient == "semi":
        values = critic.forward(batch.observations)[:, 0]
        gradient = value_gradient(values, batch.value_targets, batch.values, config.clip_range_vf)
        return critic.backward(scale * gradient[:, None])
    both = critic.forward(xp.concatenate((batch.observations, batch.next_observations)))[:, 0]
    deltas = batch.value_targets - both[: len(batch)]
    gradient = xp.concatenate((-2 * deltas, 2 * deltas * batch.next_discounts))
    return critic.backward(scale * gradient[:, None])
