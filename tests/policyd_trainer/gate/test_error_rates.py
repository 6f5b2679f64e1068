"""The gate over many trials with policies of known quality.

How often is it wrong, how soon is it right.

`make bench-gate` does the same with as many trials as one has time for.
"""

from dataclasses import replace

import pytest

from benchmarks.gate.scenarios import (
    ERRORS,
    PERFECT,
    Draw,
    Scenario,
    failing,
    normal,
    not_worse,
    of_environment,
)
from benchmarks.gate.trials import trials
from policy_api.v1.gate_pb2 import GateVerdict

pytestmark = pytest.mark.long

SEED = 77
TRIALS = 120


@pytest.mark.parametrize("scenario", ERRORS, ids=[scenario.name for scenario in ERRORS])
def test_false_promotions_are_rare(scenario: Scenario) -> None:
    """Policies no better than the margin requires are promoted in under 5% of the trials.

    That is over all looks.
    """
    shortened = replace(scenario, config={"max_episodes": 150, **scenario.config})
    assert trials(shortened, TRIALS, seed=SEED).promoted / TRIALS < 0.05


def test_false_promotions_are_rare_in_a_real_environment() -> None:
    """The returns are Acrobot's under random actions, most of which are the worst possible."""
    for scenario in of_environment("Acrobot-v1", seed=3, episodes=40):
        shortened = replace(scenario, config={"max_episodes": 100, **scenario.config})
        assert trials(shortened, TRIALS, seed=SEED).promoted / TRIALS < 0.05


@pytest.mark.parametrize(
    ("challenger", "champion", "within"),
    [
        (PERFECT, normal(9, 1), 20),
        (normal(250, 40), normal(150, 100), 70),
        (failing(0.02), failing(0.5), 110),
    ],
    ids=["solved", "lander", "cartpole"],
)
def test_much_better_policies_are_promoted_soon(challenger: Draw, champion: Draw, within: int) -> None:
    """Much better policies are promoted nearly always, within few episodes.

    Much worse ones are refused as early.
    """
    tally = trials(Scenario("", challenger, champion), 40, seed=SEED)
    assert tally.outcomes[GateVerdict.OUTCOME_BETTER] == 40
    assert tally.median_episodes <= within
    tally = trials(Scenario("", champion, challenger), 40, seed=SEED)
    assert tally.kept == 40
    assert tally.median_episodes <= within


def test_equal_policies_do_not_churn() -> None:
    """Two equal policies are told apart in no trial.

    The same holds for a policy and itself.
    """
    for draw in (normal(500, 1e-12), failing(0.2)):
        tally = trials(Scenario("", draw, draw, config={"max_episodes": 100}), 40, seed=SEED)
        assert tally.outcomes[GateVerdict.OUTCOME_BETTER] == 0


def test_an_equal_policy_is_not_worse() -> None:
    """With a real margin, equality is shown and promotes."""
    tally = trials(Scenario("", normal(200, 50), normal(200, 50), config=not_worse(25)), 40, seed=SEED)
    assert tally.promoted >= 38


def test_a_perfect_policy_is_not_worse_within_230_episodes() -> None:
    """A policy that never failed may still fail.

    The allowance 1 - 0.025 ** (1 / 230) of 500 is the first below 10.
    """
    tally = trials(Scenario("", PERFECT, PERFECT, config=not_worse(10)), 3, seed=SEED)
    assert (tally.promoted, tally.episodes) == (3, [230] * 3)
