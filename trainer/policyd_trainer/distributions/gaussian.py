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
    """u_j ~ N(mean_j, std_j^2), independent.

    Stored actions are u; `squash` says what becomes of them.

    `clip`: densities are those of u. `tanh`: those of tanh(u), in (-1, 1). (The way from there to
        the
    environment's bounds is affine: it would change them by a constant.)
    """

    size: int
    squash: Squash = "clip"
    action_dtype: Any = np.float32

    @property
    def outputs(self) -> int:
        """A mean and a log deviation an element."""
        return 2 * self.size

    @property
    def action_shape(self) -> tuple[int, ...]:
        """U [size]."""
        return (self.size,)

    def noise(self, rng: np.random.Generator, steps: int, n_envs: int) -> np.ndarray:
        """A standard normal number an element [T, N, size]."""
        return rng.standard_normal((steps, n_envs, self.size), np.float32)

    def moments(self, xp: Any, outputs: Array) -> tuple[Array, Array]:
        """Mean and deviation of u, [B, size] each."""
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
        """Log N(u; mean, std) summed over elements, less log (1 - tanh(u)^2) where squashed [B]."""
        mean, std = self.moments(xp, outputs)
        log_probs = normal_log_probs(xp, mean, std, actions)
        return log_probs - log_slope(xp, actions).sum(-1) if self.squash == "tanh" else log_probs

    def entropy(self, xp: Any, outputs: Array) -> Array:
        """sum_j log std_j + (1 + log 2 pi) / 2, plus E[log (1 - tanh(u)^2)] where squashed [B]."""
        mean, std = self.moments(xp, outputs)
        entropy = xp.log(std) + 0.5 * (1 + LOG_2PI)
        if self.squash == "tanh":
            entropy = entropy + squashed_log_slope(xp, mean, std)[0]
        return entropy.sum(-1)

    def loss_gradient(
        self, xp: Any, outputs: Array, actions: Array, weights: Array, entropy_weight: float
    ) -> Array:
        """Closed form, with z = (u - mean) / std.

        d log N/d mean = z / std;  d log N/d log std = z^2 - 1;  d H/d log std = 1, plus the
        squash's part. (The stored u does not move, so neither does log (1 - tanh(u)^2).)
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
