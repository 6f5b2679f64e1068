"""The critic's loss and its gradient, and how PPO clips the actor's.

The rest of the actor's loss stands with its distribution.
"""

from __future__ import annotations

from typing import Any

from policyd_trainer.arrays import Array


def clipped_surrogate(xp: Any, ratios: Array, advantages: Array, clip_range: float) -> Array:
    """min(r A, clip(r, 1 - c, 1 + c) A) [B] (Schulman et al. 2017, equation 7).

    r = pi(a_t|s_t) / pi_old(a_t|s_t) [B]; A are the advantages [B]; c is the clip range.
    """
    return xp.minimum(ratios * advantages, ratios.clip(1 - clip_range, 1 + clip_range) * advantages)


def surrogate_weights(xp: Any, ratios: Array, advantages: Array, clip_range: float) -> Array:
    """The weights [B] of grad log pi(a_t|s_t) in the gradient of `clipped_surrogate`.

    d min(...) = r A grad log pi. It is 0 where the clipped term is the smaller one: A > 0 and r > 1
    + c, or A < 0 and r < 1 - c.
    """
    clipped = xp.where(advantages > 0, ratios > 1 + clip_range, ratios < 1 - clip_range)
    return ratios * advantages * ~clipped


def value_loss(xp: Any, values: Array, targets: Array, old_values: Array, clip_range: float | None) -> Array:
    """The errors (target - V)^2 [B]. With a clip range c, the larger of that and the clipped one.

    The clipped error is (target - V_clipped)^2, V_clipped = V_old + clip(V - V_old, -c, c) (OpenAI
    Baselines' PPO2).
    """
    errors = (values - targets) ** 2
    if clip_range is None:
        return errors
    clipped = old_values + (values - old_values).clip(-clip_range, clip_range)
    return xp.maximum(errors, (clipped - targets) ** 2)


def value_gradient(values: Array, targets: Array, old_values: Array, clip_range: float | None) -> Array:
    """The gradient d value_loss / d V [B].

    2 (V - target), and 0 where the clipped error is the larger one: V then lies outside the range,
    and V_clipped does not change with V.
    """
    gradient = 2 * (values - targets)
    if clip_range is None:
        return gradient
    clipped = old_values + (values - old_values).clip(-clip_range, clip_range)
    outside = abs(values - old_values) > clip_range  # inside it both errors are equal, but for rounding
    clipped_counts = (clipped - targets) ** 2 > (values - targets) ** 2
    return gradient * ~(outside & clipped_counts)


def explained_variance(values: Array, targets: Array) -> float:
    """1 - Var(target - V) / Var(target). 1 is a perfect critic, 0 one that predicts a constant.

    NaN if all targets are equal.
    """
    variance = float(((targets - targets.mean()) ** 2).mean())
    errors = targets - values
    return 1 - float(((errors - errors.mean()) ** 2).mean()) / variance if variance else float("nan")
