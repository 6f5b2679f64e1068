"""Intervals for the mean of paired differences."""

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policyd_trainer.gate.intervals import (
    mean_interval,
    return_scale,
    studentised_bootstrap,
    typical_values,
    unseen_loss,
)


def test_typical_values_agree_with_all_subsets() -> None:
    """Random subsets give the same as the definition over all 2^n subsets."""
    differences = np.array([-1.0, 0.5, 1.0, 2.0, 4.0, 8.0, 9.0])
    subsets = [s for s in itertools.product([False, True], repeat=7) if any(s)]
    means = sorted(differences[np.array(s)].mean() for s in subsets)
    low, high = typical_values(differences, 0.1, np.random.default_rng(0), 20_000)
    assert low == pytest.approx(means[int(0.1 * 128) - 1], abs=0.15)
    assert high == pytest.approx(means[-int(0.1 * 128)], abs=0.15)


def test_a_few_wins_among_ties_prove_nothing() -> None:
    """Equal policies have three wins and seventeen ties one time in eight.

    The interval contains 0.
    """
    differences = np.array([5.0] * 3 + [0.0] * 17)
    low, _ = typical_values(differences, 0.025, np.random.default_rng(0), 5000)
    assert low <= 0


def test_the_bootstrap_agrees_with_students_t_on_normal_data() -> None:
    """The bootstrap's ends are within a few percent of the classical interval's."""
    differences = np.random.default_rng(5).normal(3, 2, 60)
    error = differences.std(ddof=1) / math.sqrt(60)
    low, high = studentised_bootstrap(differences, 0.025, np.random.default_rng(0), 20_000)
    assert low == pytest.approx(differences.mean() - 2.0 * error, abs=0.25 * error)
    assert high == pytest.approx(differences.mean() + 2.0 * error, abs=0.25 * error)


def test_equal_differences_have_no_sampling_error() -> None:
    """Both intervals become a point. The allowance for unseen failures stays."""
    differences = np.full(20, 3.0)
    rng = np.random.default_rng(0)
    assert studentised_bootstrap(differences, 0.01, rng, 1000) == (3.0, 3.0)
    assert typical_values(differences, 0.01, rng, 1000) == (3.0, 3.0)
    interval = mean_interval(differences, tail=0.01, unseen_tail=0.01, scale=10.0, seed=0)
    assert interval.low < 3 < interval.high


def test_unseen_failures_cost_less_the_more_episodes_there_are() -> None:
    """The allowance is 1 - tail^(1/n) of the scale, minus the worst loss that was seen."""
    assert unseen_loss(np.zeros(20), 0.025, 500.0) == pytest.approx(500 * (1 - 0.025**0.05))
    assert unseen_loss(np.zeros(500), 0.025, 500.0) < 4
    assert unseen_loss(np.array([-500.0] + [0.0] * 19), 0.025, 500.0) == 0


def test_the_scale_includes_zero() -> None:
    """Perfect policies have a range of 0, but a failure would cost everything."""
    assert return_scale(np.full(3, 500.0), np.full(3, 500.0)) == 500
    assert return_scale(np.array([-300.0, 200.0]), np.array([250.0])) == 550


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-100, 100), min_size=10, max_size=60),
    st.floats(0.1, 10),
    st.sampled_from([0.05, 0.01, 0.001]),
)
def test_intervals_turn_and_stretch_with_their_data(values: list[float], factor: float, tail: float) -> None:
    """The mean is inside, and a change of unit changes the interval in the same way."""
    differences = np.array(values)
    interval_of = functools.partial(mean_interval, tail=tail, unseen_tail=tail, seed=1, resamples=500)
    interval = interval_of(differences, scale=200.0)
    assert -200 <= interval.low <= interval.mean <= interval.high <= 200
    scaled = interval_of(differences * factor, scale=200.0 * factor)
    assert scaled.low == pytest.approx(interval.low * factor, rel=1e-6, abs=1e-6)
    assert scaled.high == pytest.approx(interval.high * factor, rel=1e-6, abs=1e-6)


def test_equal_differences_need_no_resampling() -> None:
    """The bounds of a tie equal those of resampling, unless there are too few episodes."""
    rng = np.random.default_rng(0)
    almost = np.zeros(40)
    almost[0] = 1e-12  # so it takes the slow path
    found = typical_values(almost, 0.003, rng, 10_000)
    assert typical_values(np.zeros(40), 0.003, rng, 10_000) == pytest.approx(found, abs=1e-12)
    assert typical_values(np.zeros(5), 0.003, rng, 10_000) == (-np.inf, np.inf)


def test_a_resample_with_no_shift_counts_as_none() -> None:
    """A resample 3, 3, 3 of 0, 3, 6 has neither shift nor error, so it counts at the mean.

    Of the 27 resamples 7 have the mean 3, and 10 a lower one: 40% to 60% are at t = 0.
    """
    differences = np.array([0.0, 3.0, 6.0])
    rng = np.random.default_rng(0)
    assert studentised_bootstrap(differences, 0.4, rng, 20_000) == (3.0, 3.0)
    low, high = studentised_bootstrap(differences, 0.25, rng, 20_000)
    assert -np.inf < low < 3.0 < high < np.inf


def test_equal_differences_are_not_resampled() -> None:
    """If every resample is the same, nothing is drawn, however many are asked for."""
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    for differences in (np.full(40, 0.1), np.zeros(40)):
        assert studentised_bootstrap(differences, 0.01, rng, 10**9) == (differences[0],) * 2
        assert typical_values(differences, 0.01, rng, 10**9) == (differences[0],) * 2
    assert rng.bit_generator.state == before


def test_returns_of_nothing_but_zero_leave_no_doubt() -> None:
    """If no episode ever returned anything, no difference is plausible."""
    interval = mean_interval(np.zeros(20), tail=0.01, unseen_tail=0.01, scale=0.0, seed=0)
    assert (interval.low, interval.mean, interval.high) == (0, 0, 0)


def test_too_few_resamples_bound_nothing() -> None:
    """The smallest of 99 resamples is the bound at 1 in 100. Below that there is no bound."""
    differences = np.arange(30.0)
    bounded = typical_values(differences, 0.01, np.random.default_rng(0), 99)
    assert np.isfinite(bounded).all()
    assert typical_values(differences, 0.0099, np.random.default_rng(0), 99) == (-np.inf, np.inf)


def test_a_loss_beyond_the_scale_leaves_nothing_unseen() -> None:
    """If an episode lost more than the scale, the allowance is 0, and never a gain."""
    assert unseen_loss(np.array([-9.0, 0.0]), 0.025, 5.0) == 0
