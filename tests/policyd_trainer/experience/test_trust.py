"""How much the actor may learn from old actions, and who can change that."""

from __future__ import annotations

import numpy as np
import pytest

from policyd_trainer.experience.sequences import Sequence
from policyd_trainer.experience.trust import callers_of, groups_of, rate, signal, spread, trust

MAX_SHIFT = 0.3


def steps(count: int, caller: str, version: int) -> Sequence:
    zeros = np.zeros(count, np.float32)
    rows = np.zeros((count, 1), np.float32)
    return Sequence(rows, zeros, zeros, zeros, np.full(count, version), True, None, caller)


def valid_of(sequences: list[Sequence]) -> np.ndarray:
    longest = max(map(len, sequences))
    return np.arange(longest)[:, None] < np.array([len(each) for each in sequences])  # [T, N]


def trusted(sequences: list[Sequence], ratios: list[tuple[float, float]]) -> tuple[np.ndarray, float]:
    """The trust in each sequence [N], and the rate. Ratios alternate from step to step."""
    valid = valid_of(sequences)
    table = np.zeros(valid.shape)
    for column, pair in enumerate(ratios):
        table[:, column] = np.resize(pair, len(table))
    found = trust(table[valid], groups_of(sequences, valid), MAX_SHIFT)
    each = np.zeros(valid.shape)
    each[valid] = found
    return each[0], rate(found, callers_of(sequences, valid))


@pytest.mark.parametrize(
    ("now", "expected"), [(0.5, 1.0), (0.65, 1.0), (0.725, 0.5), (0.275, 0.5), (0.8, 0.0), (0.99, 0.0)]
)
def test_trust_falls_with_the_share_of_decisions_that_differ(now: float, expected: float) -> None:
    """One of two equally probable actions has the probability `now`."""
    found, factor = trusted([steps(40, "", 1)], [(now / 0.5, (1 - now) / 0.5)])
    assert found[0] == pytest.approx(expected)
    assert factor == pytest.approx(expected)


@pytest.mark.parametrize("length", [100, 1_000, 10_000])
def test_an_old_caller_does_not_lower_the_trust_in_others(length: int) -> None:
    """Its steps count for nothing, and the learning rate is what it is without it."""
    young = steps(100, "young", 9)
    alone = trusted([young], [(1.4, 0.6)])
    found, factor = trusted([young, steps(length, "old", 1)], [(1.4, 0.6), (1.9, 0.1)])
    assert alone[0][0] == pytest.approx(2 / 3)
    assert found == pytest.approx([2 / 3, 0])
    assert factor == pytest.approx(alone[1])


def test_far_observations_cost_only_the_caller_that_claims_them() -> None:
    """The same version, but actions there are much less probable now."""
    found, factor = trusted([steps(100, "a", 9), steps(100, "b", 9)], [(1.1, 0.9), (1.9, 0.1)])
    assert found == pytest.approx([1, 0])
    assert factor == pytest.approx(1)


def test_without_callers_old_steps_cost_their_share_and_no_more() -> None:
    found, factor = trusted([steps(100, "", 9), steps(300, "", 1)], [(1.1, 0.9), (1.9, 0.1)])
    assert found == pytest.approx([1, 0])
    assert factor == pytest.approx(1 / 4)


def test_callers_with_few_steps_of_a_version_are_measured_together() -> None:
    """The share of one step alone is chance."""
    found, _ = trusted([steps(1, str(number), 9) for number in range(40)], [(1.2, 1.2), (0.8, 0.8)] * 20)
    assert found == pytest.approx(np.ones(40))


def test_nothing_is_learned_if_nobody_is_trusted() -> None:
    assert trusted([steps(40, "", 1)], [(1.9, 0.1)])[1] == 0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_what_advantages_say_is_measured_against_returns_of_the_same_batch(scale: float) -> None:
    """The deviation of returns of 0 and 2 is 1. A tenth of that counts in full."""
    rewards = scale * np.array([[0.0, 2.0]])
    whole = spread(rewards, np.ones((1, 2), bool), 0.9)
    assert whole == pytest.approx(scale)
    for size, expected in ((0.05, 0.5), (0.1, 1.0), (2.0, 1.0), (0.0, 0.0)):
        assert signal(scale * (3 + size * np.array([1.0, -1.0])), whole) == pytest.approx(expected)
    assert signal(np.array([0.0]), whole) == 1


def test_the_deviation_of_returns_counts_valid_steps_and_discounts() -> None:
    rewards = np.array([[1.0, 4.0], [2.0, 0.0]])
    valid = np.array([[True, True], [True, False]])
    assert spread(rewards, valid, 0.5) == pytest.approx(np.std([1.0, 2.5, 4.0]))
