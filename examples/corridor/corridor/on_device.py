"""The corridor as a vector environment of tensors: all walkers step together on one device.

    policyctl retrain --policy corridor --env corridor:Corridor-v0 --algorithm a2c \
        --set device_env=corridor.on_device:CorridorOnDevice --set n_envs=4096

The trainer learns from this class. It evaluates and compares policies in `corridor:Corridor-v0`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from corridor.env import GOAL_REWARD, LENGTH, SLIP, STEP_REWARD

LIMIT = 100  # steps of an episode, the same as `__init__` registers


class CorridorOnDevice:
    """M corridors. Their state is in tensors that `step` changes in place.

    `step` uses tensor operations only, and reads no number on the host. So the class can set
    `is_capturable`, and on a GPU the trainer records `step` as a part of a CUDA graph.
    """

    is_capturable = True

    def __init__(self, num_envs: int, device: torch.device) -> None:
        self.num_envs, self.device = num_envs, device
        self._cell = torch.zeros(num_envs, dtype=torch.int64, device=device)  # [M]
        self._goal = torch.zeros_like(self._cell)  # [M], the first or the last cell
        self._steps = torch.zeros_like(self._cell)  # [M], of the running episodes

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Puts all goals and walkers in place. Returns the observations [M, 2]."""
        del options
        if seed is not None:
            torch.manual_seed(seed)
        self._begin(torch.ones_like(self._cell, dtype=torch.bool))
        return self._observation(), {}

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Any]]:
        """Moves each walker by -1, 0 or 1; with probability SLIP the other way. All are [M]."""
        slipped = torch.rand(self.num_envs, device=self.device) < SLIP
        moved = self._cell + actions * (1 - 2 * slipped.long())
        self._cell.copy_(moved.clamp(0, LENGTH - 1))
        self._steps += 1
        terminated = self._cell == self._goal
        truncated = self._steps >= LIMIT
        rewards = STEP_REWARD + (GOAL_REWARD - STEP_REWARD) * terminated
        final = self._observation()
        self._begin(terminated | truncated)
        return self._observation(), rewards, terminated, truncated, {"final_obs": final}

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors that checkpoints keep."""
        return {"cell": self._cell, "goal": self._goal, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Tensor]) -> Tensor:
        """Goes back to such a state. Returns the observations [M, 2]."""
        for name, tensor in self.state_dict().items():
            tensor.copy_(state[name])
        return self._observation()

    def _begin(self, ended: Tensor) -> None:
        """Starts new episodes where the old ones ended."""
        draws = torch.rand(2, self.num_envs, device=self.device)
        goal = (draws[0] < 0.5).long() * (LENGTH - 1)
        cell = 1 + (draws[1] * (LENGTH - 2)).long()
        self._goal.copy_(torch.where(ended, goal, self._goal))
        self._cell.copy_(torch.where(ended, cell, self._cell))
        self._steps *= ~ended

    def _observation(self) -> Tensor:
        ends = LENGTH - 1
        return torch.stack((2 * self._cell / ends - 1, 2 * self._goal / ends - 1), dim=1)
