"""Random numbers for each environment, drawn on the device a whole rollout at a time.

The counter of Philox is (environment, step, rollout, purpose). The number of the rollout is a
tensor on the device, so that a captured CUDA graph draws new numbers each time that it is replayed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Tensor

from policyd_trainer.device.philox import MASK, philox


class Purpose(IntEnum):
    """What random numbers are for. Equal counters with different purposes are independent."""

    ACTIONS = 0
    STARTS = 1  # first states of episodes that begin within a rollout
    RESET = 2  # first states of all environments
    ORDER = 1000  # plus the number of the epoch: orders of minibatches


class Streams:
    """One stream of random numbers for each of M environments. The members have different keys."""

    def __init__(self, seeds: Sequence[int], n_envs: int, device: torch.device | str, first: int = 0) -> None:
        """`seeds` has one seed for each member, and each member has `n_envs` environments.

        `first` is the number of each member's first environment. The environments of the first
        member come first: M = len(seeds) * n_envs.
        """
        members = torch.tensor([[seed & MASK for seed in seeds], [seed >> 32 & MASK for seed in seeds]])
        self._keys = members.repeat_interleave(n_envs, dim=1).to(device)  # [2, M]
        numbers = torch.arange(first, first + n_envs).repeat(len(seeds))
        self._numbers = numbers.to(device)  # [M]
        self.rollout = torch.zeros((), dtype=torch.int64, device=device)  # number of rollouts begun

    @property
    def size(self) -> int:
        """M, the number of environments."""
        return len(self._numbers)

    def advance(self) -> None:
        """Begins a rollout: all numbers drawn from now on are new."""
        self.rollout += 1

    def uniforms(self, purpose: int, steps: int, count: int) -> Tensor:
        """Draws numbers in [0, 1) [T, K, M] float32, multiples of 2^-24."""
        return self._words(purpose, steps, count).bitwise_right_shift(8).float() * 2.0**-24

    def normals(self, purpose: int, steps: int, count: int) -> Tensor:
        """Draws standard normal numbers [T, K, M] float32 by the Box-Muller method (1958)."""
        pairs = -(-count // 2)
        uniforms = self.uniforms(purpose, steps, 2 * pairs)
        radii = (-2.0 * (uniforms[:, :pairs] + 2.0**-25).log()).sqrt()  # the numbers are in (0, 1)
        angles = 2.0 * math.pi * uniforms[:, pairs:]
        return torch.cat((radii * angles.cos(), radii * angles.sin()), dim=1)[:, :count]

    def _words(self, purpose: int, steps: int, count: int) -> Tensor:
        """Draws words [T, K, M] int64, each below 2^32."""
        device, blocks = self._numbers.device, -(-count // 4)
        step = torch.arange(steps, device=device)[:, None, None]
        block = torch.arange(blocks, device=device)[None, :, None] + (purpose << 16)
        counter = (self._numbers, step, self.rollout & MASK, block)
        words = torch.stack(torch.broadcast_tensors(*philox(counter, (self._keys[0], self._keys[1]))), dim=2)
        return words.reshape(steps, blocks * 4, self.size)[:, :count]
