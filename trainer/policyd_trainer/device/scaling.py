"""Running moments on the device, and the scaling of observations and rewards that they give.

The formulas are those of `estimators.normalization`, which tests compare with this, for S members
and for parts of the environments in several processes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from policyd_trainer.device.group import Group

LIMIT = 10.0


@dataclass(frozen=True)
class Scaling:
    """x -> clip((x - mean) / sqrt(std^2 + 1e-8), -limit, limit), by the moments of each member."""

    mean: Tensor  # [S, 1, D]
    inverse_std: Tensor  # [S, 1, D]
    limit: Tensor | None = None  # [D], infinite where nothing is scaled; None: LIMIT everywhere

    def __call__(self, rows: Tensor) -> Tensor:
        """Scales rows [S, B, D] of any number type -> floats [S, B, D]."""
        scaled = (rows - self.mean) * self.inverse_std
        if self.limit is None:
            return scaled.clamp(-LIMIT, LIMIT)
        return torch.minimum(torch.maximum(scaled, -self.limit), self.limit)


class DeviceMoments:
    """Mean and variance of everything that each member saw.

    They are merged block by block (Chan et al. 1979).
    """

    def __init__(
        self, members: int, groups: np.ndarray, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        """`groups` [D]: see `RowLayout.groups`."""
        self.mean = torch.zeros(members, len(groups), dtype=torch.float64, device=device)  # [S, D]
        self.squares = torch.zeros_like(self.mean)  # [S, D], sums of squared deviations
        self.count = torch.zeros(members, 1, dtype=torch.float64, device=device)  # [S, 1]
        self._dtype = dtype
        self._groups: tuple[Tensor, Tensor, Tensor] | None = None
        if not np.array_equal(groups, np.arange(len(groups))):
            kept = torch.as_tensor(groups >= 0).to(device)  # [D]
            index = torch.as_tensor(np.maximum(groups, 0)).to(device)  # [D]
            sizes = torch.as_tensor(np.bincount(groups[groups >= 0], minlength=1).astype(float)).to(device)
            self._groups = (kept, index, sizes.clamp(min=1.0))

    def update(self, block: Tensor, valid: Tensor | None, group: Group) -> None:
        """Takes in a block [S, B, D] from all processes; `valid` [S, B] says which rows count."""
        shift = self.mean.to(self._dtype)
        deviations = block - shift[:, None]  # small numbers, whose squares keep their digits
        if valid is not None:
            deviations = deviations * valid[..., None]
            count = valid.sum(dim=1, dtype=torch.float64)[:, None]
        else:
            count = torch.full_like(self.count, block.shape[1])
        sums = deviations.sum(dim=1, dtype=torch.float64)
        squares = (deviations * deviations).sum(dim=1, dtype=torch.float64)
        merged = group.sum(torch.cat((sums, squares, count), dim=1))
        size = self.mean.shape[1]
        sums, squares, count = merged.split((size, size, 1), dim=1)
        self._merge(shift.double() + sums / count.clamp(min=1.0), sums, squares, count)

    def _merge(self, mean: Tensor, sums: Tensor, squares: Tensor, count: Tensor) -> None:
        difference, total = mean - self.mean, (self.count + count).clamp(min=1.0)
        own = squares - sums * sums / count.clamp(min=1.0)
        self.squares += own.clamp(min=0.0) + difference * difference * (self.count * count / total)
        self.mean += difference * (count / total)
        self.count += count

    @property
    def variance(self) -> Tensor:
        """Population variance [S, D]; 1 before two values were seen."""
        known = self.count >= 2
        return torch.where(known, self.squares / self.count.clamp(min=1.0), torch.ones_like(self.squares))

    def scaling(self) -> Scaling:
        """The scaling by the moments as they are now."""
        mean, variance = self._pooled()
        inverse_std = (variance + 1e-8).rsqrt()
        if self._groups is None:
            return Scaling(mean.to(self._dtype)[:, None], inverse_std.to(self._dtype)[:, None])
        kept = self._groups[0]
        limit = torch.full_like(mean[0], LIMIT).masked_fill(~kept, float("inf")).to(self._dtype)
        mean, inverse_std = mean * kept, inverse_std.masked_fill(~kept, 1.0)
        return Scaling(mean.to(self._dtype)[:, None], inverse_std.to(self._dtype)[:, None], limit)

    def _pooled(self) -> tuple[Tensor, Tensor]:
        """Mean and variance [S, D], where the columns of a group share one value."""
        mean, variance = self.mean, self.variance
        if self._groups is None:
            return mean, variance
        kept, index, sizes = self._groups
        group_mean = self._group_sum(mean * kept, index, sizes)[:, index]
        deviations = (variance + (mean - group_mean) ** 2) * kept
        group_variance = self._group_sum(deviations, index, sizes)[:, index]
        known = self.count >= 2
        return torch.where(known, group_mean, mean), torch.where(known, group_variance, variance)

    def _group_sum(self, values: Tensor, index: Tensor, sizes: Tensor) -> Tensor:
        zeros = torch.zeros(len(values), len(sizes), dtype=values.dtype, device=values.device)
        return zeros.index_add(1, index, values) / sizes


class DeviceRewardScaler:
    """Divides rewards by the running standard deviation of the discounted return.

    See `RewardScaler`.
    """

    def __init__(
        self,
        members: int,
        n_envs: int,
        gamma: float,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        alone = np.arange(1)
        self.moments = DeviceMoments(members, alone, device, dtype)  # of the returns R
        self.single = DeviceMoments(members, alone, device, dtype)  # of the rewards r
        self.discounted = torch.zeros(members, n_envs, dtype=torch.float64, device=device)  # R of each
        self._gamma = gamma

    def scale(self, rewards: Tensor, ends: Tensor, valid: Tensor | None, group: Group) -> Tensor:
        """Takes in raw rewards [S, T, N] and returns them scaled.

        `ends` [S, T, N] restart the returns.
        """
        returns = torch.empty(rewards.shape, dtype=torch.float64, device=rewards.device)
        for t in range(rewards.shape[1]):
            self.discounted.mul_(self._gamma).add_(rewards[:, t])
            returns[:, t] = self.discounted
            self.discounted.mul_(~ends[:, t])
        counted = None if valid is None else valid.flatten(1)
        self.moments.update(returns.to(rewards.dtype).flatten(1)[..., None], counted, group)
        self.single.update(rewards.flatten(1)[..., None], counted, group)
        single = self.single.mean**2 + self.single.variance
        mean_square = torch.where(self.single.count > 1, single, torch.zeros_like(single))
        scale = (torch.maximum(self.moments.variance, mean_square / 25) + 1e-8).rsqrt()  # [S, 1]
        return (rewards * scale[..., None]).clamp(-10.0, 10.0).to(rewards.dtype)
