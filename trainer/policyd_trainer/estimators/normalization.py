"""Running moments, and the scaling of observations and rewards that they give."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from policyd_trainer import compiled
from policyd_trainer.arrays import Array, Backend, is_compiled

LARGEST = 4_000_000  # most numbers taken in at once: 256 images of 84 x 84 x 2


@dataclass
class RunningMoments:
    """Mean and variance of everything seen, merged block by block without loss.

    Chan, Golub and LeVeque 1979: with counts n, m and difference d of the means,
    mean += d m / (n + m); sum of squares += m var + d^2 n m / (n + m).
    """

    mean: np.ndarray  # [*shape], float64
    squares: np.ndarray  # [*shape], sum of squared deviations from the mean
    count: int = 0
    # [D]: columns with the same number are scaled alike; -1: not scaled. None: each by itself.
    groups: np.ndarray | None = None

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> RunningMoments:
        """Moments that have seen nothing yet."""
        return cls(np.zeros(shape), np.zeros(shape))

    def copy(self) -> RunningMoments:
        """A copy that later updates do not change."""
        return RunningMoments(self.mean.copy(), self.squares.copy(), self.count, self.groups)

    @classmethod
    def for_rows(cls, groups: np.ndarray) -> RunningMoments:
        """Moments that have seen nothing yet, for rows whose columns belong to `groups` [D]."""
        alone = np.array_equal(groups, np.arange(len(groups)))  # each column has a group of its own
        return cls(np.zeros(groups.shape), np.zeros(groups.shape), groups=None if alone else groups)

    def pooled(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance to scale by [*shape].

        The columns of one group share them. They are 0 and 1 where nothing is scaled.
        """
        mean, variance = self.mean, self.std**2
        if self.groups is None or self.count < 2:
            return mean, variance
        shared = self.groups >= 0
        index = self.groups[shared]
        members = np.bincount(index)
        group_mean = np.bincount(index, mean[shared]) / members
        deviations = variance[shared] + (mean[shared] - group_mean[index]) ** 2
        mean, variance = np.zeros_like(mean), np.ones_like(variance)
        mean[shared] = group_mean[index]
        variance[shared] = (np.bincount(index, deviations) / members)[index]
        return mean, variance

    def update(self, block: np.ndarray) -> None:
        """Takes in a block [B, *shape]."""
        n, m = self.count, len(block)
        if m == 0:
            return
        if m > 1 and block.size > LARGEST:  # its deviations take several copies in float64
            self.update(block[: m // 2])
            self.update(block[m // 2 :])
            return
        block_mean, block_squares = _block_moments(block)
        difference = block_mean - self.mean
        self.squares += block_squares + difference * difference * (n * m / (n + m))
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
    """Fixed moments: x -> clip((x - mean) / sqrt(std^2 + eps), -limit, limit)."""

    mean: Array  # [*shape], float32
    inverse_std: Array  # [*shape], float32
    limit: float | Array = 10.0  # one for all, or [*shape]

    @classmethod
    def of(cls, moments: RunningMoments) -> ObservationScaling:
        """The scaling by the moments as they are now."""
        mean, variance = moments.pooled()
        inverse_std = 1.0 / np.sqrt(variance + 1e-8)
        scaling = cls(mean.astype(np.float32), inverse_std.astype(np.float32))
        if moments.groups is None or (moments.groups >= 0).all():
            return scaling
        untouched = moments.groups < 0
        scaling.mean[untouched], scaling.inverse_std[untouched] = 0.0, 1.0
        limit = np.where(untouched, np.inf, scaling.limit).astype(np.float32)
        return replace(scaling, limit=limit)

    def on(self, backend: Backend) -> ObservationScaling:
        """The same scaling, with its arrays on the backend's device."""
        limit = self.limit if isinstance(self.limit, float) else backend.asarray(self.limit)
        return ObservationScaling(backend.asarray(self.mean), backend.asarray(self.inverse_std), limit)

    def __call__(self, observations: Array) -> Array:
        """Scales [..., *shape] of any number type -> [..., *shape] float32."""
        if self._is_fast(observations):
            return compiled.updates.scaled(
                np.ascontiguousarray(observations), self.mean, self.inverse_std, self.limit
            )
        scaled = observations - self.mean
        scaled *= self.inverse_std
        return scaled.clip(-self.limit, self.limit)

    def _is_fast(self, observations: Array) -> bool:
        return (
            isinstance(observations, np.ndarray)
            and isinstance(self.limit, float)
            and observations.ndim == 2
            and is_compiled(np, observations)
        )


def _block_moments(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sum of squared deviations over the first axis [*shape], float64."""
    if block.ndim == 2 and is_compiled(np, block):
        pair: tuple[np.ndarray, np.ndarray] = compiled.updates.block_moments(np.ascontiguousarray(block))
        return pair
    mean = block.mean(axis=0, dtype=np.float64)
    deviations = block - mean
    return mean, (deviations * deviations).sum(axis=0)


def most_rows(rows: Array) -> int:
    """How many of the rows [B, D] to compute with at once: few images, because they fill memory."""
    return max(1, LARGEST // int(rows.shape[1]))


class RewardScaler:
    """Divides rewards by the running standard deviation of the discounted return.

    R_t = gamma R_{t-1} (1 - done_{t-1}) + r_t per environment; r_t -> clip(r_t / std(R), -10, 10).
    Engstrom et al. 2020, "Implementation matters", section 3. The divisor is at least rms(r) / 5.
    Otherwise, if the returns vary little but the rewards are large (for example episodes of one
    step that all earn about 1), the clip would make all rewards equal.
    """

    def __init__(self, n_envs: int, gamma: float) -> None:
        self.gamma = gamma
        self.moments = RunningMoments.zeros(())  # of the returns R
        self.single = RunningMoments.zeros(())  # of the rewards r
        self.discounted = np.zeros(n_envs)  # [N], R of the running episodes

    def scale(self, rewards: np.ndarray, dones: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Takes in raw rewards [T, N] and returns them scaled.

        Steps that are not `valid` do not count.
        """
        discounted = self._discounted(rewards, dones | ~valid)
        self.moments.update(discounted[valid])
        self.single.update(rewards[valid])
        mean_square = self.single.mean**2 + self.single.std**2 if self.single.count > 1 else 0.0
        scale = 1.0 / np.sqrt(np.maximum(self.moments.std**2, mean_square / 25) + 1e-8)
        scaled: np.ndarray = np.clip(rewards * scale, -10.0, 10.0).astype(np.float32)
        return scaled

    def _discounted(self, rewards: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """R_t of each step [T, N]."""
        if is_compiled(np, rewards):
            contiguous = np.ascontiguousarray(rewards)
            fast: np.ndarray = compiled.updates.discounted_returns(
                contiguous, ends.view(np.uint8), self.discounted, self.gamma
            )
            return fast
        discounted = np.empty(rewards.shape)
        for t in range(len(rewards)):
            self.discounted *= self.gamma
            self.discounted += rewards[t]
            discounted[t] = self.discounted
            self.discounted[ends[t]] = 0.0
        return discounted
