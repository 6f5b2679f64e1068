"""Returns and lengths of the training episodes, followed across rollouts."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from policyd_trainer.rollouts.buffer import Rollout

WINDOW = 100  # episodes that the training means cover
KEPT = 2000  # most single episodes of a run that are kept
FILE = "training_episodes.json"  # published beside the model


@dataclass
class EpisodeLog:
    """Returns of single episodes of a run: all of a short run, every n-th of a long one."""

    every: int = 1  # every so many episodes of the run, one is in the log
    env_steps: list[int] = field(default_factory=list)  # environment steps of the run when the episode ended
    returns: list[float] = field(default_factory=list)  # undiscounted

    def add(self, episode: int, env_steps: int, episode_return: float) -> None:
        """Takes in the run's next episode. `episode` is its number, from 0."""
        if episode % self.every:
            return
        self.env_steps.append(env_steps)
        self.returns.append(episode_return)
        if len(self.returns) > KEPT:
            del self.env_steps[1::2], self.returns[1::2]
            self.every *= 2

    def to_json(self) -> bytes:
        """The log as JSON, without returns that are not finite."""
        finite = [pair for pair in zip(self.env_steps, self.returns, strict=True) if math.isfinite(pair[1])]
        steps, returns = [pair[0] for pair in finite], [pair[1] for pair in finite]
        return json.dumps({"every": self.every, "env_steps": steps, "returns": returns}).encode()

    @classmethod
    def from_json(cls, content: bytes) -> EpisodeLog:
        """The log that `to_json` wrote."""
        return cls(**json.loads(content))


@dataclass
class EpisodeTracker:
    """Undiscounted returns of episodes as they end."""

    n_envs: int
    episodes: int = 0  # number of episodes that have ended
    returns: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))  # of the last episodes
    lengths: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))  # steps
    log: EpisodeLog = field(default_factory=EpisodeLog)
    env_steps: int = 0  # over all environments, so far
    _return: np.ndarray = field(init=False)  # [N], of the running episodes
    _length: np.ndarray = field(init=False)  # [N]

    def __post_init__(self) -> None:
        self._return = np.zeros(self.n_envs)
        self._length = np.zeros(self.n_envs, np.int64)

    def restart(self) -> None:
        """Drops the running episodes: their environments were reset before they ended."""
        self._return[:], self._length[:] = 0.0, 0

    def update(self, rollout: Rollout) -> None:
        """Takes in a rollout."""
        dones = rollout.dones
        before, self.env_steps = self.env_steps, self.env_steps + int(rollout.valid.sum())
        if not dones.any():
            self._return += rollout.rewards.sum(axis=0)
            self._length += rollout.valid.sum(axis=0)
            return
        returns = rollout.rewards.cumsum(axis=0, dtype=np.float64) + self._return  # [T, N]
        lengths = rollout.valid.cumsum(axis=0) + self._length
        steps = rollout.valid.sum(axis=1).cumsum() + before  # [T], over all environments
        base_return, base_length = np.zeros(self.n_envs), np.zeros(self.n_envs, np.int64)
        for episode, (t, n) in enumerate(np.argwhere(dones), start=self.episodes):
            self.returns.append(float(returns[t, n] - base_return[n]))
            self.log.add(episode, int(steps[t]), self.returns[-1])
            self.lengths.append(int(lengths[t, n] - base_length[n]))
            base_return[n], base_length[n] = returns[t, n], lengths[t, n]
        self.episodes += int(dones.sum())
        self._return = returns[-1] - base_return
        self._length = lengths[-1] - base_length

    @property
    def mean_return(self) -> float | None:
        """Mean return of the last episodes; None before the first has ended."""
        return float(np.mean(self.returns)) if self.returns else None

    @property
    def mean_length(self) -> float | None:
        """Mean length of the last episodes in steps; None before the first has ended."""
        return float(np.mean(self.lengths)) if self.lengths else None
