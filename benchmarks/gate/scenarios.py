"""Pairs of policies whose true difference is known, as distributions of returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from policy_api.v1.gate_pb2 import GateConfig
from policyd_trainer.gate.intervals import Floats

# Draws the returns of so many episodes, [n].
Draw = Callable[[np.random.Generator, int], Floats]


@dataclass(frozen=True)
class Scenario:
    """A challenger and a champion whose true difference is known."""

    name: str
    challenger: Draw
    champion: Draw
    promotable: bool = False  # whether it is right to promote the challenger
    config: Mapping[str, Any] = field(default_factory=dict)  # fields of GateConfig


def normal(mean: float, std: float) -> Draw:
    """Normally distributed returns."""
    return lambda rng, n: rng.normal(mean, std, n)


def failing(rate: float, worst: float = 50.0, best: float = 500.0) -> Draw:
    """As in CartPole: the best return, except for a share of episodes that end earlier."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        return np.where(rng.random(n) < rate, rng.uniform(worst, best, n), best)

    return draw


def breaking(rate: float, best: float = 500.0) -> Draw:
    """The best return, except for a share of episodes that return 0.

    Until a comparison has seen such an episode, both policies look perfect.
    """
    return lambda rng, n: np.where(rng.random(n) < rate, 0.0, best)


def drawn_from(pool: Floats, shift: float = 0.0) -> Draw:
    """Returns drawn from those that were seen, each with the same probability."""
    return lambda rng, n: rng.choice(pool, n) + shift


def not_worse(margin: float) -> dict[str, Any]:
    """The criterion that accepts a loss of `margin`."""
    return {"criterion": GateConfig.NOT_WORSE, "margin": margin}


PERFECT = normal(500, 1e-9)

# Each challenger is exactly as good as the limit for a promotion, or worse.
ERRORS = (
    Scenario("equal", normal(200, 50), normal(200, 50)),
    Scenario("equal, noisier", normal(200, 120), normal(200, 10)),
    Scenario("equal, skewed", failing(0.1), failing(0.1)),
    Scenario("equal, rare failures", failing(0.03, worst=0), normal(492.5, 1e-9)),
    Scenario("worse by rare failures", failing(0.09), PERFECT, config=not_worse(10)),
    Scenario("at the margin", normal(190, 50), normal(200, 50), config=not_worse(10)),
    Scenario("at the margin by 1 of 50", breaking(0.02), PERFECT, config=not_worse(10)),
    Scenario("at the margin by 1 of 100", breaking(0.01), PERFECT, config=not_worse(5)),
    Scenario(
        "equal, short", normal(200, 50), normal(200, 50), config={"block_episodes": 10, "max_episodes": 100}
    ),
)
# Each challenger is to be promoted, as soon as possible.
GAINS = (
    Scenario("solved against untrained", PERFECT, normal(9, 1), True),
    Scenario("250 against 150, noisy", normal(250, 40), normal(150, 100), True),
    Scenario("2% failures against 50%", failing(0.02), failing(0.5), True),
    Scenario("equal, margin 25", normal(200, 50), normal(200, 50), True, not_worse(25)),
    Scenario("both perfect, margin 10", PERFECT, PERFECT, True, not_worse(10)),
)


def of_environment(env_id: str, seed: int, episodes: int = 500) -> tuple[Scenario, ...]:
    """Returns of random actions in a real environment: equal, and worse by exactly the margin."""
    pool = played(env_id, seed, episodes)
    margin = float(pool.std()) / 2
    return (
        Scenario(f"{env_id}: equal", drawn_from(pool), drawn_from(pool)),
        Scenario(
            f"{env_id}: at the margin",
            drawn_from(pool, -margin),
            drawn_from(pool),
            config=not_worse(margin),
        ),
    )


def played(env_id: str, seed: int, episodes: int) -> Floats:
    """Returns of episodes in which every action is random, [episodes]."""
    environment = gymnasium.make(env_id)
    environment.action_space.seed(seed)
    returns = []
    for episode in range(episodes):
        environment.reset(seed=seed + episode)
        total, ended = 0.0, False
        while not ended:
            _, reward, terminated, truncated, _ = environment.step(environment.action_space.sample())
            total, ended = total + float(reward), terminated or truncated
        returns.append(total)
    environment.close()
    return np.array(returns)
