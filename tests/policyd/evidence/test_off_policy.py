"""Verdicts from logs: what is known, what cannot be told, and what was recorded wrongly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.evidence.worlds import COVERED, LONG, WRONG, Scenario, draw
from policyd.evidence.features import MOST_OBSERVED, joined, state_features
from policyd.evidence.logs import Logs
from policyd.evidence.off_policy import LEAST_EPISODES, Verdict, evaluate
from policyd.evidence.weights import effective_sample_size, largest_share


def test_weights_are_counted() -> None:
    """Equal weights count in full, a single large weight as one; huge weights do not overflow."""
    assert effective_sample_size(np.full(10, 3.0)) == pytest.approx(10)
    assert effective_sample_size(np.array([1e250, 1.0, 1.0])) == pytest.approx(1)
    assert largest_share(np.array([2.0, 1.0, 1.0])) == pytest.approx(0.5)
    assert (effective_sample_size(np.zeros(3)), largest_share(np.zeros(3))) == (0.0, 1.0)


@pytest.mark.parametrize("scenario", [COVERED[0], COVERED[1], COVERED[2]], ids=lambda s: s.name)
def test_a_clear_difference_is_told(scenario: Scenario) -> None:
    """A version whose true return is better or worse gets that verdict."""
    found = evaluate(draw(scenario, np.random.default_rng(0)))
    assert found is not None
    assert found.verdict == (Verdict.WORSE if "worse" in scenario.name else Verdict.BETTER)
    assert found.sequence.low <= found.difference.low <= found.difference.high <= found.sequence.high


@pytest.mark.parametrize("scenario", LONG, ids=lambda s: s.name)
def test_long_horizons_cannot_be_told(scenario: Scenario) -> None:
    """Over 200 steps the weights are worth almost no episode, and the reason says so."""
    found = evaluate(draw(scenario, np.random.default_rng(0), 150))
    assert found is not None
    assert found.verdict is Verdict.CANNOT_TELL
    assert "200 steps" in found.reason


@pytest.mark.parametrize("scenario", WRONG, ids=lambda s: s.name)
def test_wrongly_recorded_probabilities_are_caught(scenario: Scenario) -> None:
    """If the mean weight is not 1, there is no verdict."""
    found = evaluate(draw(scenario, np.random.default_rng(0)))
    assert found is not None
    assert found.verdict is Verdict.CANNOT_TELL
    assert "recorded probabilities" in found.reason


def _two_actions(n: int, taken: float, target: float) -> Logs:
    """Episodes of one step with the same action, and its probability in both versions."""
    ratios = np.full((n, 1), np.log(target / taken))
    ones = np.ones((n, 1, 1))
    rewards = np.random.default_rng(0).standard_normal((n, 1))
    return Logs(rewards, ratios, np.ones((n, 1), np.bool_), ones, ones, ratios[None])


@pytest.mark.parametrize(("taken", "target"), [(0.99, 0.3), (0.97, 0.999)], ids=["below 1", "above 1"])
def test_a_small_sample_blames_nobody(taken: float, target: float) -> None:
    """50 episodes may lack an action with 1 to 3%; 2,000 without it show wrong probabilities."""
    small, large = (evaluate(_two_actions(n, taken, target)) for n in (50, 2000))
    assert small is not None
    assert large is not None
    assert (small.verdict, large.verdict) == (Verdict.CANNOT_TELL, Verdict.CANNOT_TELL)
    assert "50 steps of 50 episodes are too small a sample" in small.reason
    assert "recorded probabilities" not in small.reason
    assert "recorded probabilities are not those" in large.reason


def test_episodes_of_two_versions_that_differ_cannot_be_told() -> None:
    """A third is by a version that acts differently over 200 steps, so it has almost no weight."""
    logs = draw(LONG[0], np.random.default_rng(0), 300)
    ratios = np.where(np.arange(300)[:, None] < 200, 0.0, logs.log_ratios)
    found = evaluate(replace(logs, log_ratios=ratios))
    assert found is not None
    assert found.verdict is Verdict.CANNOT_TELL
    assert "some versions that acted" in found.reason


def test_few_episodes_have_no_verdict() -> None:
    """Below the least number there is no estimate at all."""
    assert evaluate(draw(COVERED[0], np.random.default_rng(0), LEAST_EPISODES - 1)) is None


def test_large_observations_are_projected() -> None:
    """An image gives at most as many features as a few numbers, and equal rows stay equal."""
    rows = np.random.default_rng(0).standard_normal((5, 10_000))
    rows[1] = rows[0]
    states = state_features(rows, np.zeros(5))
    assert states.shape == (5, MOST_OBSERVED + 2)
    assert np.array_equal(states[0], states[1])
    assert joined(states, np.ones((5, 2))).shape == (5, (MOST_OBSERVED + 2) * 3)
