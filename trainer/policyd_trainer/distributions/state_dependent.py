"""Generalised state-dependent exploration (gSDE): noise that is a function of the state.

Raffin, Kober and Stulp 2021, "Smooth exploration for robotic reinforcement learning". With features
h(s) [H] (the last hidden layer) and a matrix Z [H, A] of standard normals that is kept for several
steps:

    u_j = mean_j(s) + sum_k h_k(s) s_kj Z_kj

For one state, then, u_j ~ N(mean_j, sum_k (h_k s_kj)^2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from policyd_trainer.arrays import Array
from policyd_trainer.distributions.gaussian import DiagonalGaussian
from policyd_trainer.distributions.normals import Squash

VARIANCE_FLOOR = 1e-6  # keeps std above 0 where every feature is 0


@dataclass(frozen=True)
class StateDependentGaussian:
    """Normal u_j whose deviation depends on the state, through the features h [H].

    The outputs [B, A + H A] are means [A] and the products F_kj = h_k s_kj [H A], row-major.
    """

    size: int
    features: int  # H
    squash: Squash = "clip"
    hold: int = 1  # steps that share one matrix of noise
    action_dtype: Any = np.float32

    @property
    def outputs(self) -> int:
        """A means and H A products."""
        return self.size * (1 + self.features)

    @property
    def action_shape(self) -> tuple[int, ...]:
        """The shape [size] of u."""
        return (self.size,)

    def noise(self, rng: np.random.Generator, steps: int, n_envs: int) -> np.ndarray:
        """Matrices of standard normals, each held for `hold` steps [T, N, H A]."""
        fresh = rng.standard_normal((-(-steps // self.hold), n_envs, self.features * self.size), np.float32)
        return fresh.repeat(self.hold, axis=0)[:steps]

    def moments(self, xp: Any, outputs: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of u, [B, size] each."""
        products = self._products(outputs)
        return outputs[:, : self.size], xp.sqrt((products * products).sum(1) + VARIANCE_FLOOR)

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """The sample u = mean + sum_k F_kj Z_kj [B, size]."""
        explored = self._products(outputs) * noise.reshape(-1, self.features, self.size)
        actions: np.ndarray = outputs[:, : self.size] + explored.sum(axis=1)
        return actions

    def mode(self, outputs: np.ndarray) -> np.ndarray:
        """The mean of u [B, size]."""
        return outputs[:, : self.size]

    def log_probs(self, xp: Any, outputs: Array, actions: Array) -> Array:
        """The log-probabilities of the diagonal Gaussian with these moments [B]."""
        return self._diagonal.log_probs(xp, self._diagonal_outputs(xp, outputs), actions)

    def entropy(self, xp: Any, outputs: Array) -> Array:
        """The entropy of the diagonal Gaussian with these moments [B]."""
        return self._diagonal.entropy(xp, self._diagonal_outputs(xp, outputs))

    def loss_gradient(
        self, xp: Any, outputs: Array, actions: Array, weights: Array, entropy_weight: float
    ) -> Array:
        """The diagonal Gaussian's gradient, continued to the products [B, A + H A].

        d log std_j / d F_kj = F_kj / std_j^2.
        """
        diagonal = self._diagonal_outputs(xp, outputs)
        gradient = self._diagonal.loss_gradient(xp, diagonal, actions, weights, entropy_weight)
        by_mean, by_log_std = gradient[:, : self.size], gradient[:, self.size :]
        products = self._products(outputs)
        variance = xp.exp(2 * diagonal[:, self.size :])
        by_products = products * (by_log_std / variance)[:, None, :]
        return xp.concatenate((by_mean, by_products.reshape(len(by_mean), -1)), axis=-1)

    @property
    def _diagonal(self) -> DiagonalGaussian:
        return DiagonalGaussian(self.size, self.squash)

    def _diagonal_outputs(self, xp: Any, outputs: Array) -> Array:
        mean, std = self.moments(xp, outputs)
        return xp.concatenate((mean, xp.log(std)), axis=-1)

    def _products(self, outputs: Array) -> Array:
        """The products F [B, H, A]."""
        return outputs[:, self.size :].reshape(-1, self.features, self.size)
