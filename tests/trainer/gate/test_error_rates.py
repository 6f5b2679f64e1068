"""The gate over many trials with policies of known quality: how often is it wrong, how soon is it right."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from policy_api.v1.gate_pb2 import GateConfig, GateVerdict
from trainer.gate.config import Gate
from trainer.gate.decision import Returns, compare
from trainer.gate.intervals import Floats

TRIALS = 120
Draw = Callable[[np.random.Generator, int], Floats]
PROMOTED = (GateVerdict.OUTCOME_BETTER, GateVerdict.OUTCOME_NOT_WORSE)


def normal(mean: float, std: float) -> Draw:
    return lambda rng, n: rng.normal(mean, std, n)


def failing(rate: float, worst: float = 50.0, best: float = 500.0) -> Draw:
    """CartPole's way: the best return, but for a share of episodes that end anywhere before."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        return np.where(rng.random(n) < rate, rng.uniform(worst, best, n), best)

    return draw


def trials(
    challenger: Draw, champion: Draw, count: int = TRIALS, **config: Any
) -> tuple[Counter[int], list[int]]:
    """Outcomes, and episodes until each."""
    gate = Gate.of(GateConfig(**config))
    outcomes: Counter[int] = Counter()
    episodes = []
    for trial in range(count):
        rng = np.random.default_rng([trial, 77])

        def play(indices: range, rng: np.random.Generator = rng) -> Returns:
            n = len(indices)
            return Returns(challenger(rng, n), champion(rng, n), challenger(rng, n), champion(rng, n))

        comparison = compare(play, gate, seed=trial, resamples=1000)
        outcomes[comparison.outcome] += 1
        episodes.append(len(comparison.returns.champion_greedy))
    return outcomes, episodes


@pytest.mark.parametrize(
    ("challenger", "champion", "config"),
    [
        (normal(200, 50), normal(200, 50), {}),
        (normal(200, 120), normal(200, 10), {}),
        (failing(0.1), failing(0.1), {}),
        (failing(0.03, worst=0, best=500), normal(492.5, 1e-9), {}),
        (failing(0.09), normal(500, 1e-9), {"criterion": GateConfig.NOT_WORSE, "margin": 10.0}),
        (normal(190, 50), normal(200, 50), {"criterion": GateConfig.NOT_WORSE, "margin": 10.0}),
        (normal(200, 50), normal(200, 50), {"block_episodes": 10, "max_episodes": 100}),
    ],
    ids=["equal", "noisier", "skewed", "rare-failures", "worse-rarely", "at-the-margin", "short"],
)
def test_false_promotions_are_rare(challenger: Draw, champion: Draw, config: dict[str, Any]) -> None:
    """Policies that are no better (than the margin asks) pass in under 5% of trials, all looks together."""
    outcomes, _ = trials(challenger, champion, **{"max_episodes": 150} | config)
    assert sum(outcomes[kind] for kind in PROMOTED) / TRIALS < 0.05


@pytest.mark.parametrize(
    ("challenger", "champion", "within"),
    [
        (normal(500, 1e-9), normal(9, 1), 20),
        (normal(250, 40), normal(150, 100), 70),
        (failing(0.02), failing(0.5), 110),
    ],
    ids=["solved", "lander", "cartpole"],
)
def test_much_better_policies_are_promoted_soon(challenger: Draw, champion: Draw, within: int) -> None:
    """Nearly always, and within few episodes; the other way round they are kept as soon."""
    outcomes, episodes = trials(challenger, champion, 40)
    assert outcomes[GateVerdict.OUTCOME_BETTER] == 40
    assert np.median(episodes) <= within
    outcomes, episodes = trials(champion, challenger, 40)
    assert outcomes[GateVerdict.OUTCOME_WORSE] == 40
    assert np.median(episodes) <= within


def test_equal_policies_do_not_churn() -> None:
    """Two policies without any difference are told apart in no trial, nor is one that is the same."""
    for draw in (normal(500, 1e-12), failing(0.2)):
        outcomes, _ = trials(draw, draw, 40, max_episodes=100)
        assert outcomes[GateVerdict.OUTCOME_BETTER] == 0


def test_an_equal_policy_is_not_worse() -> None:
    """With a margin that matters, equality is shown and promotes."""
    config: dict[str, Any] = {"criterion": GateConfig.NOT_WORSE, "margin": 25.0}
    outcomes, _ = trials(normal(200, 50), normal(200, 50), 40, **config)
    assert sum(outcomes[kind] for kind in PROMOTED) >= 38
