"""Returns and lengths of the training episodes, followed across rollouts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from trainer.rollouts.buffer import Rollout

WINDOW = 100  # episodes that the training means are taken over


@dataclass
class EpisodeTracker:
    """Undiscounted returns of episodes as they end."""

    n_envs: int
    episodes: int = 0  # ended so far
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))  # of the last ones
    lengths: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))  # steps
    _return: np.ndarray = field(init=False)  # [N], of the running episodes
    _length: np.ndarray = field(init=False)  # [N]

    def __post_init__(self) -> None:
        self._return = np.zeros(self.n_envs)
        self._length = np.zeros(self.n_envs, np.int64)

    def update(self, rollout: Rollout) -> None:
        """Takes in a rollout."""
        dones = rollout.dones
        if not dones.any():
            self._return += rollout.rewards.sum(axis=0)
            self._length += rollout.valid.sum(axis=0)
            return
        returns = rollout.rewards.cumsum(axis=0, dtype=np.float64) + self._return  # [T, N]
        lengths = rollout.valid.cumsum(axis=0) + self._length
        base_return, base_length = np.zeros(self.n_envs), np.zeros(self.n_envs, np.int64)
        for t, n in np.argwhere(dones):
            self.returns.append(float(returns[t, n] - base_return[n]))
            self.lengths.append(int(lengths[t, n] - base_length[n]))
            base_return[n], base_length[n] = returns[t, n], lengths[t, n]
        self.episodes += int(dones.sum())
        self._return = returns[-1] - base_return
        self._length = lengths[-1] - base_length

    @property
    def mean_return(self) -> float | None:
        """Of the last episodes; None before the first ended."""
        return float(np.mean(self.returns)) if self.returns else None

    @property
    def mean_length(self) -> float | None:
        """Of the last episodes, steps; None before the first ended."""
        return float(np.mean(self.lengths)) if self.lengths else None
