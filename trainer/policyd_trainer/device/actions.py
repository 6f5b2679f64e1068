"""From stored actions to an environment's own, on the device. The same maps as `spaces.actions`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from policyd_trainer.distributions.normals import Squash

ActionMap = Callable[[Tensor], Tensor]  # stored [M, ...] -> the environment's [M, ...]


@dataclass(frozen=True, eq=False)
class Shifted:
    """Adds `start` to stored indices, which count from 0. It is one number, or one per branch."""

    start: Tensor  # [] or [*shape]
    shape: tuple[int, ...] = ()  # the shape of one action

    def __call__(self, actions: Tensor) -> Tensor:
        """Maps stored actions [M, *shape] to the environment's [M, *shape]."""
        return actions.reshape(-1, *self.shape) + self.start


@dataclass(frozen=True, eq=False)
class Bounded:
    """Maps samples u [M, A] to vectors within the bounds.

    The vectors are middle + half u, clipped to the bounds, or middle + half tanh(u).
    """

    middle: Tensor  # [A]
    half: Tensor  # [A]
    low: Tensor  # [A]
    high: Tensor  # [A]
    squash: Squash
    is_whole: bool  # whether the environment takes integers
    shape: tuple[int, ...]  # the shape of one action

    def __call__(self, actions: Tensor) -> Tensor:
        """Maps stored samples [M, A] to the environment's actions [M, *shape]."""
        vectors = self.middle + self.half * (actions.tanh() if self.squash == "tanh" else actions)
        if self.is_whole:
            vectors = vectors.round()
        return torch.minimum(torch.maximum(vectors, self.low), self.high).reshape(-1, *self.shape)


def shifted(start: int | np.ndarray, device: torch.device, shape: tuple[int, ...] = ()) -> Shifted:
    """The map for Discrete, MultiDiscrete and MultiBinary actions (for the last, start 0)."""
    return Shifted(torch.as_tensor(start, dtype=torch.int64).to(device), shape)


def bounded(
    low: np.ndarray,
    high: np.ndarray,
    middle: np.ndarray,
    half: np.ndarray,
    squash: Squash,
    device: torch.device,
) -> Bounded:
    """The map for Box actions; `middle` and `half` [A] are those of `spaces.boxes`."""
    whole = np.dtype(low.dtype).kind in "iu"
    flat = [torch.as_tensor(each.reshape(-1).astype(np.float32)).to(device) for each in (low, high)]
    centre = [torch.as_tensor(each.astype(np.float32)).to(device) for each in (middle, half)]
    return Bounded(centre[0], centre[1], flat[0], flat[1], squash, whole, low.shape)
