"""Losses of a batch and their gradients with respect to the parameters."""

from __future__ import annotations

from typing import Any

from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.losses import (
    clipped_surrogate,
    surrogate_weights,
    value_gradient,
    value_loss,
)
from policyd_trainer.arrays import Array
from policyd_trainer.config import TrainingConfig
from policyd_trainer.distributions.interface import Distribution
from policyd_trainer.networks.interface import Network


def actor_loss(
    xp: Any,
    distribution: Distribution,
    actor: Network,
    batch: Batch,
    ent_coef: float,
    clip_range: float | None = None,
) -> Array:
    """The number scale * sum_b (-A_b log pi(a_b|s_b) - ent_coef * H(pi(.|s_b))).

    With a clip range, PPO's clipped surrogate replaces A_b log pi(a_b|s_b).
    """
    outputs = actor.outputs(batch.observations)
    log_probs = distribution.log_probs(xp, outputs, batch.actions)
    gains = batch.advantages * log_probs
    if clip_range is not None:
        gains = clipped_surrogate(xp, _ratios(xp, log_probs, batch), batch.advantages, clip_range)
    entropy = distribution.entropy(xp, outputs)
    return batch.scale * (-gains.sum() - ent_coef * entropy.sum())


def actor_gradient(
    xp: Any,
    distribution: Distribution,
    actor: Network,
    batch: Batch,
    ent_coef: float,
    clip_range: float | None = None,
) -> Array:
    """The gradient of actor_loss [P]. The advantages count as constants."""
    outputs = actor.forward(batch.observations)
    weights = batch.advantages
    if clip_range is not None:
        ratios = _ratios(xp, distribution.log_probs(xp, outputs, batch.actions), batch)
        weights = surrogate_weights(xp, ratios, weights, clip_range)
    return actor.backward(
        distribution.loss_gradient(xp, outputs, batch.actions, weights * batch.scale, ent_coef * batch.scale)
    )


def _ratios(xp: Any, log_probs: Array, batch: Batch) -> Array:
    """The ratios pi(a_t|s_t) / pi_old(a_t|s_t) [B].

    They are at most e^20, so that one step stays finite in float32.
    """
    return xp.exp((log_probs - batch.old_log_probs).clip(-20, 20))


def critic_loss(xp: Any, config: TrainingConfig, critic: Network, batch: Batch) -> Array:
    """The number scale * sum_b (target_b - V(s_b))^2, clipped if that is configured."""
    values = critic.outputs(batch.observations)[:, 0]
    errors = value_loss(xp, values, batch.value_targets, batch.values, config.clip_range_vf)
    return batch.scale * errors.sum()


def critic_gradient(xp: Any, config: TrainingConfig, critic: Network, batch: Batch) -> Array:
    """The gradient of vf_coef * critic_loss [P].

    With critic_gradient `full` the gradient also goes through V(s') in the target r + gamma V(s'),
    as in the course. With delta = r + gamma V(s') - V(s): d delta^2 = 2 delta (gamma dV(s') -
    dV(s)) (Baird 1995, residual gradient).
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
