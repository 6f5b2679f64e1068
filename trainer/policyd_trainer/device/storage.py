"""What a rollout keeps: tensors [S, T, N, ...], allocated once and filled step by step."""

from __future__ import annotations

import torch
from torch import Tensor

from policyd_trainer.device.interface import DeviceStep
from policyd_trainer.device.task import DeviceTask


class Storage:
    """T steps of N environments of each of S members, allocated once."""

    def __init__(self, task: DeviceTask, steps: int, members: int, n_envs: int, device: torch.device) -> None:
        shape = (members, steps, n_envs)
        rows = {"dtype": task.torch_row_dtype, "device": device}
        self.observations = torch.zeros(*shape, task.row_size, **rows)  # type: ignore[call-overload]
        self.successors = torch.zeros_like(self.observations)  # the true next observations
        action_shape = task.distribution.action_shape
        self.actions = torch.zeros(*shape, *action_shape, dtype=task.torch_action_dtype, device=device)
        self.rewards = torch.zeros(shape, device=device)
        self.terminated = torch.zeros(shape, dtype=torch.bool, device=device)
        self.truncated = torch.zeros_like(self.terminated)
        self.valid = torch.ones(shape, device=device)  # 0.0 where the environment only reset
        self._has_invalid = False

    @property
    def dones(self) -> Tensor:
        """Whether an episode ended in each step [S, T, N] bool."""
        return self.terminated | self.truncated

    @property
    def counted(self) -> Tensor | None:
        """1.0 where a step counts [S, T, N]; None if all do."""
        return self.valid if self._has_invalid else None

    def store(self, t: int, observations: Tensor, actions: Tensor, step: DeviceStep) -> None:
        """Writes step t: observations acted on [M, D], actions [M, ...], and their results."""
        assert step.successors is not None, "the caller has filled them in"
        pairs = [
            (self.observations, observations),
            (self.successors, step.successors),
            (self.actions, actions),
            (self.rewards, step.rewards),
            (self.terminated, step.terminated),
            (self.truncated, step.truncated),
        ]
        if step.valid is not None:
            self._has_invalid = True
            pairs.append((self.valid, step.valid))
        for stored, came in pairs:
            stored[:, t].copy_(came.unflatten(0, (len(stored), -1)))
