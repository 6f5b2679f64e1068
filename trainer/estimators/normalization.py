"""Running moments, and the scaling of observations and rewards that they give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class RunningMoments:
    """Mean and variance of everything seen, merged block by block, exactly.

    Chan, Golub and LeVeque 1979: with counts n, m and difference d of the means,
    mean += d m / (n + m); sum of squares += m var + d^2 n m / (n + m).
    """

    mean: np.ndarray  # [*shape], float64
    squares: np.ndarray  # [*shape], sum of squared deviations from the mean
    count: int = 0

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> RunningMoments:
        """Nothing seen yet."""
        return cls(np.zeros(shape), np.zeros(shape))

    def copy(self) -> RunningMoments:
        """The moments as they are now."""
        return RunningMoments(self.mean.copy(), self.squares.copy(), self.count)

    def update(self, block: np.ndarray) -> None:
        """Takes in a block [B, *shape]."""
        n, m = self.count, len(block)
        if m == 0:
            return
        block_mean = block.mean(axis=0, dtype=np.float64)
        difference = block_mean - self.mean
        deviations = block - block_mean
        self.squares += (deviations * deviations).sum(axis=0) + difference * difference * (n * m / (n + m))
        self.mean += difference * (m / (n + m))
        self.count = n + m

    @property
    def std(self) -> np.ndarray:
        """Population standard deviation [*shape]; 1 before two values were seen."""
        if self.count < 2:
            return np.ones_like(self.mean)
        std: np.ndarray = np.sqrt(self.squares / self.count)
        return std


@dataclass(frozen=True)
class ObservationScaling:
    """Frozen moments: x -> clip((x - mean) / sqrt(std^2 + eps), -limit, limit)."""

    mean: np.ndarray  # [*shape], float32
    inverse_std: np.ndarray  # [*shape], float32
    limit: float = 10.0

    @classmethod
    def of(cls, moments: RunningMoments) -> ObservationScaling:
        """The scaling by the moments as they are now."""
        inverse_std = 1.0 / np.sqrt(moments.std**2 + 1e-8)
        return cls(moments.mean.astype(np.float32), inverse_std.astype(np.float32))

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """[..., *shape] -> [..., *shape]."""
        scaled: np.ndarray = observations - self.mean
        scaled *= self.inverse_std
        np.clip(scaled, -self.limit, self.limit, out=scaled)
        return scaled


class RewardScaler:
    """Divides rewards by the running deviation of the discounted return.

    R_t = gamma R_{t-1} (1 - done_{t-1}) + r_t per environment; r_t -> clip(r_t / std(R), -10, 10).
    Engstrom et al. 2020, "Implementation matters", section 3.
    """

    def __init__(self, n_envs: int, gamma: float) -> None:
        self.gamma = gamma
        self.moments = RunningMoments.zeros(())
        self.discounted = np.zeros(n_envs)  # [N], R of the running episodes

    def scale(self, rewards: np.ndarray, dones: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """[T, N] raw rewards -> scaled, after taking them in. Steps that are not `valid` do not count."""
        discounted = np.empty(rewards.shape)
        for t in range(len(rewards)):
            self.discounted *= self.gamma
            self.discounted += rewards[t]
            discounted[t] = self.discounted
            self.discounted[dones[t] | ~valid[t]] = 0.0
        self.moments.update(discounted[valid])
        scale = 1.0 / np.sqrt(self.moments.std**2 + 1e-8)
        scaled: np.ndarray = np.clip(rewards * scale, -10.0, 10.0).astype(np.float32)
        return scaled
