"""Truncation against termination: both have targets that are known exactly.

A walk over 10 places begins anywhere and gives 1 a step. Where it goes round and round, a client
says TRUNCATED after 10 steps: every place is worth 1 / (1 - gamma). Where it ends behind the last
place, a client says TERMINATED: with k places left a place is worth (1 - gamma^k) / (1 - gamma).

The observation after a cut is a place where other walks went on. Were it seen at cuts alone,
nothing would say what it is worth, and V(s) = 1 / (1 - gamma) - c / gamma^s would fit for every c.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.live.lab import Lab
from benchmarks.live.worlds import Task
from policyd_trainer.networks.host import host_outputs

STEPS = 10
GAMMA = 0.9
SETTINGS = {
    "gamma": "0.9",
    "normalize_rewards": "false",
    "normalize_observations": "false",
    "n_epochs": "4",
    "learning_rate": "0.003",
}


class Walk(gym.Env[np.ndarray, Any]):
    """Shows its place [1]. Every action moves to the next place."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, *, ends: bool) -> None:
        """With `ends` the walk terminates after the last place.

        Otherwise it goes round and is truncated.
        """
        self._ends, self._place, self._steps = ends, 0, 0

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 -- Gymnasium's
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts at a random place."""
        super().reset(seed=seed)
        self._place, self._steps = int(self.np_random.integers(STEPS)), 0
        return seen(self._place)[0], {}

    def step(self, _: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Goes to the next place. The reward is 1."""
        self._steps += 1
        if self._ends:
            self._place += 1
            return seen(self._place)[0], 1.0, self._place == STEPS, False, {}
        self._place = (self._place + 1) % STEPS
        return seen(self._place)[0], 1.0, False, self._steps == STEPS, {}


def seen(*places: int) -> np.ndarray:
    """The observations at these places [B, 1]."""
    return np.array(places, np.float32)[:, None] / STEPS * 2 - 1


@dataclass
class Values:
    """The critic's values of the ten states, and the exact ones."""

    end: str
    right: list[float]
    learned: list[float]
    error: float  # the largest relative error


def measure(seed: int, decisions: int = 150_000) -> list[Values]:
    """The critic's values after learning from truncated and from terminated episodes."""
    found = []
    left = STEPS - np.arange(STEPS)
    right = {"TRUNCATED": np.full(STEPS, 1 / (1 - GAMMA)), "TERMINATED": (1 - GAMMA**left) / (1 - GAMMA)}
    for end, values in right.items():
        task = Task("walk", partial(Walk, ends=end == "TERMINATED"), 0, decisions, settings=SETTINGS)
        lab = Lab(task, seed)
        for _ in lab.batches():
            if lab.decisions >= decisions:
                break
        learned = _critic(lab)
        error = float(np.max(np.abs(learned / values - 1)))
        found.append(Values(end, values.tolist(), learned.tolist(), error))
    return found


def _critic(lab: Lab) -> np.ndarray:
    specs, snapshot = lab.live.specs, lab.live.snapshot()
    assert specs.critic is not None
    assert snapshot.critic is not None
    outputs: np.ndarray = host_outputs(specs.critic, snapshot.critic)(seen(*range(STEPS)))
    return outputs.reshape(-1)
