"""Independent bits; the parameters are the logits of 1 [B, n]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from policyd_trainer.arrays import Array


@dataclass(frozen=True)
class Bernoulli:
    """n bits: pi(a|s) = prod_j p_j^{a_j} (1 - p_j)^{1 - a_j}, p_j = 1 / (1 + exp(-logit_j)).

    Actions are 0 or 1 [n].
    """

    n: int
    action_dtype: Any = np.int8

    @property
    def outputs(self) -> int:
        """One logit per bit."""
        return self.n

    @property
    def action_shape(self) -> tuple[int, ...]:
        """The shape [n] of one action."""
        return (self.n,)

    def noise(self, rng: np.random.Generator, steps: int, n_envs: int) -> np.ndarray:
        """One uniform number per bit [T, N, n]."""
        return rng.random((steps, n_envs, self.n))

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Actions [B, n]: 1 where the noise is below the probability of 1."""
        bits: np.ndarray = noise < _sigmoid(np, outputs)
        return bits.astype(self.action_dtype)

    def mode(self, outputs: np.ndarray) -> np.ndarray:
        """Actions [B, n]: 1 where 1 is more probable than 0."""
        bits: np.ndarray = outputs > 0
        return bits.astype(self.action_dtype)

    def log_probs(self, xp: Any, outputs: Array, actions: Array) -> Array:
        """sum_j of log p_j or log (1 - p_j), which is -sum_j softplus((1 - 2 a_j) logit_j) [B]."""
        return -_softplus(xp, (1 - 2 * actions) * outputs).sum(-1)

    def entropy(self, xp: Any, outputs: Array) -> Array:
        """sum_j softplus(x_j) - x_j p_j [B], where x are the logits."""
        return (_softplus(xp, outputs) - outputs * _sigmoid(xp, outputs)).sum(-1)

    def loss_gradient(
        self, xp: Any, outputs: Array, actions: Array, weights: Array, entropy_weight: float
    ) -> Array:
        """The gradient in closed form [B, n], where x are the logits.

        d(-w log pi)/dx_j = w (p_j - a_j);  d(-H)/dx_j = x_j p_j (1 - p_j).
        """
        probs = _sigmoid(xp, outputs)
        gradient = weights[:, None] * (probs - actions)
        if entropy_weight:
            gradient += entropy_weight * outputs * probs * (1 - probs)
        return gradient


def _softplus(xp: Any, x: Array) -> Array:
    """log(1 + e^x), without overflow."""
    return xp.logaddexp(xp.zeros_like(x), x)


def _sigmoid(xp: Any, x: Array) -> Array:
    """1 / (1 + e^-x), without overflow."""
    return xp.exp(-_softplus(xp, -x))
