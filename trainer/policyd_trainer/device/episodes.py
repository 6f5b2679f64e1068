"""Statistics of training episodes, kept on the device and looked at only when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from policyd_trainer.device.group import Group
from policyd_trainer.rollouts.episodes import EpisodeLog

ROLLOUTS = 64  # rollouts whose sums are kept
WINDOW = 100  # the means cover at least so many episodes, if the kept rollouts have them


@dataclass(frozen=True)
class EpisodeMeans:
    """Means over the last episodes of the best member.

    `episodes` is the number of episodes that all members have ended.
    """

    episodes: int = 0
    mean_return: float | None = None
    mean_length: float | None = None  # steps
    longest: int = 0  # steps of the longest episode that is still running

    @property
    def log(self) -> EpisodeLog:
        """An empty log: the device keeps sums, not single episodes."""
        return EpisodeLog()


class DeviceEpisodes:
    """Sums over the episodes that ended in each of the last rollouts."""

    def __init__(self, members: int, n_envs: int, device: torch.device) -> None:
        zeros = torch.zeros(2, members, n_envs, dtype=torch.float64, device=device)
        self.running = zeros  # [2, S, N]: returns and lengths of the running episodes
        self.kept = torch.zeros(ROLLOUTS, members, 3, dtype=torch.float64, device=device)
        self.ended = torch.zeros(members, dtype=torch.float64, device=device)  # [S], since the run began
        self.longest = torch.zeros((), dtype=torch.float64, device=device)

    def update(
        self, rewards: Tensor, dones: Tensor, valid: Tensor | None, rollout: Tensor, group: Group
    ) -> None:
        """Takes in the rewards and ends [S, T, N] of a rollout, the rewards as they came.

        The sum of the returns of an environment's ended episodes is the sum of its rewards up to
        its last end.
        """
        counted = torch.ones_like(rewards) if valid is None else valid
        each = torch.stack((rewards, counted.to(rewards.dtype))).double()  # [2, S, T, N]
        unended = dones.flip(1).cumsum(dim=1).flip(1) == 0  # after the last end [S, T, N]
        has_ended = dones.any(dim=1)  # [S, N]
        after = (each * unended).sum(dim=2)  # [2, S, N]
        until = each.sum(dim=2) - after + self.running * has_ended
        self.running.copy_(after + self.running * ~has_ended)
        ended = dones.sum(dim=(1, 2), dtype=torch.float64)  # [S]
        row = group.sum(torch.stack((ended, *until.sum(dim=2)), dim=-1))  # [S, 3]
        self.kept.index_copy_(0, (rollout % ROLLOUTS)[None], row[None])
        self.ended += row[:, 0]
        self.longest.copy_(self.running[1].max())

    def means(self, rollouts: int) -> EpisodeMeans:
        """The means after `rollouts` rollouts. Waits for the device."""
        kept, longest = self.kept.cpu(), int(self.longest)
        newest = [kept[(rollouts - back) % ROLLOUTS] for back in range(min(rollouts, ROLLOUTS))]
        total = torch.zeros_like(kept[0])
        for row in newest:
            total += row * (total[:, :1] < WINDOW)
        counts = total[:, 0]
        episodes = int(self.ended.sum())
        if not bool((counts > 0).any()):
            return EpisodeMeans(episodes, longest=longest)
        returns = torch.where(counts > 0, total[:, 1] / counts.clamp(min=1), -torch.inf)
        best = int(returns.argmax())
        length = float(total[best, 2] / counts[best])
        return EpisodeMeans(episodes, float(returns[best]), length, longest)
