"""The diagonal Gaussian over u.

The parameters are means and logarithms of deviations [B, 2 size].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from policyd_trainer.arrays import Array
from policyd_trainer.distributions.normals import (
    LOG_2PI,
    Squash,
    log_slope,
    normal_log_probs,
    squashed_log_slope,
)


@dataclass(frozen=True)
class DiagonalGaussian:
    """Independent normal numbers u_j ~ N(mean_j, std_j^2), which are the stored actions.

    `squash` says how actions come from u. `clip`: clipped u, with the density of u. `tanh`: tanh(u)
    in (-1, 1), with the density of tanh(u). (The map from there to the environment's bounds is
    affine. It would change log-densities by a constant only.)
    """

    size: int
    squash: Squash = "clip"
    action_dtype: Any = np.float32

    @property
    def outputs(self) -> int:
        """One mean and one log standard deviation per element."""
        return 2 * self.size

    @property
    def action_shape(self) -> tuple[int, ...]:
        """The shape [size] of u."""
        return (self.size,)

    def noise(self, rng: np.random.Generator, steps: int, n_envs: int) -> np.ndarray:
        """One standard normal number per element [T, N, size]."""
        return rng.standard_normal((steps, n_envs, self.size), np.float32)

    def moments(self, xp: Any, outputs: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of u, [B, size] each."""
        return outputs[:, : self.size], xp.exp(outputs[:, self.size :])

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """The sample u = mean + std z [B, size]."""
        mean, std = self.moments(np, outputs)
        samples: np.ndarray = mean + std * noise
        return samples

    def mode(self, outputs: np.ndarray) -> np.ndarray:
        """The mean of u [B, size]."""
        mean: np.ndarray = self.moments(np, outputs)[0]
        return mean

    def log_probs(self, xp: Any, outputs: Array, actions: Array) -> Array:
        """sum_j log N(u_j; mean_j, std_j), minus log (1 - tanh(u)^2) if squashed [B]."""
        mean, std = self.moments(xp, outputs)
        log_probs = normal_log_probs(xp, mean, std, actions)
        return log_probs - log_slope(xp, actions).sum(-1) if self.squash == "tanh" else log_probs

    def entropy(self, xp: Any, outputs: Array) -> Array:
        """sum_j log std_j + (1 + log 2 pi) / 2, plus E[log (1 - tanh(u)^2)] if squashed [B]."""
        mean, std = self.moments(xp, outputs)
        entropy = xp.log(std) + 0.5 * (1 + LOG_2PI)
        if self.squash == "tanh":
            entropy = entropy + squashed_log_slope(xp, mean, std)[0]
        return entropy.sum(-1)

    def loss_gradient(
        self, xp: Any, outputs: Array, actions: Array, weights: Array, entropy_weight: float
    ) -> Array:
        """The gradient in closed form [B, 2 size], with z = (u - mean) / std.

        d log N/d mean = z / std;  d log N/d log std = z^2 - 1;  d H/d log std = 1, plus the part of
        the squash. (The stored u is constant, and so is log (1 - tanh(u)^2).)
        """
        mean, std = self.moments(xp, outputs)
        z = (actions - mean) / std
        by_mean = -weights[:, None] * z / std
        by_log_std = -weights[:, None] * (z * z - 1)
        if entropy_weight:
            by_log_std -= entropy_weight
            if self.squash == "tanh":
                _, slope_by_mean, slope_by_std = squashed_log_slope(xp, mean, std)
                by_mean -= entropy_weight * slope_by_mean
                by_log_std -= entropy_weight * slope_by_std * std
        return xp.concatenate((by_mean, by_log_std), axis=-1)
