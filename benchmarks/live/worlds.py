"""The worlds that clients of this benchmark play, and what they have to reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import gymnasium as gym
import numpy as np

from policy_api.v1.training_pb2 import Spaces
from policyd.gym_spaces import describe

ARMS = np.array([[1.0, 0.0], [-0.5, 0.9], [-0.5, -0.9], [0.2, 0.2]])  # [A, 2], the direction of each arm
STEEPNESS = 3.0


class Bandit(gym.Env[np.ndarray, Any]):
    """One step. The probability that an arm wins grows as the context points in its direction."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(len(ARMS))

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 -- Gymnasium's
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draws a new context, uniformly from the square."""
        super().reset(seed=seed)
        self._context = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self._context, {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """The reward is 0 or 1, and the episode ends."""
        wins = self.np_random.random() < win_chances(self._context[None])[0, action]
        return self._context, float(wins), True, False, {}


def win_chances(contexts: np.ndarray) -> np.ndarray:
    """The probability that each arm wins [B, A] in contexts [B, 2]."""
    chances: np.ndarray = 1 / (1 + np.exp(-STEEPNESS * contexts @ ARMS.T))
    return chances


def contexts(count: int) -> np.ndarray:
    """The centres of count x count equal squares [count^2, 2]. Means over them are integrals."""
    side = (np.arange(count) + 0.5) / count * 2 - 1
    return np.stack(np.meshgrid(side, side), -1).reshape(-1, 2).astype(np.float32)


@cache
def optimum() -> float:
    """The mean, over contexts, of the best arm's probability to win."""
    return float(win_chances(contexts(400)).max(axis=1).mean())


class TwoAgents(gym.Env[np.ndarray, Any]):
    """Two agents on a line of nine places want to meet. Each sees itself and the other.

    Both get -0.1 per step, and 1 when they meet. The episode is truncated after 20 steps.
    """

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(3)  # left, stay, right
    agents = 2

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 -- Gymnasium's
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Puts both at different places."""
        super().reset(seed=seed)
        self._places = self.np_random.choice(9, 2, replace=False)
        self._steps = 0
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """`action` [2] says where each goes. The observation is [2, 2], one row per agent."""
        self._places = (self._places + np.asarray(action) - 1).clip(0, 8)
        self._steps += 1
        met = bool(self._places[0] == self._places[1])
        return self._seen(), 1.0 if met else -0.1, met, self._steps >= 20 and not met, {}

    def _seen(self) -> np.ndarray:
        scaled = (self._places / 4 - 1).astype(np.float32)
        return np.stack((scaled, scaled[::-1]))


@dataclass(frozen=True)
class Task:
    """A world, and the return at which it counts as learned."""

    name: str
    make: Callable[[], gym.Env[Any, Any]]
    target: float  # mean return of sampled actions
    decisions: int  # the target must be reached within so many decisions
    algorithm: str = "a2c"
    settings: Mapping[str, str] = field(default_factory=dict)  # override what `policyctl learn` chooses

    @property
    def spaces(self) -> Spaces:
        """The policy's observations and actions."""
        world = self.make()
        return Spaces(
            observation=describe(world.observation_space), action=describe(world.action_space, "action space")
        )


TASKS = {
    "cartpole": Task("cartpole", partial(gym.make, "CartPole-v1"), 475.0, 100_000),
    "bandit": Task("bandit", Bandit, 0.99 * optimum(), 100_000, "reinforce"),
    "mountaincar": Task("mountaincar", partial(gym.make, "MountainCarContinuous-v0"), 90.0, 300_000),
    "lunarlander": Task("lunarlander", partial(gym.make, "LunarLander-v3"), 200.0, 1_500_000),
    "two-agents": Task("two-agents", TwoAgents, 0.6, 100_000),
}
