"""Intervals, moments and the canary's rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from policyd.evidence.canary import Arm, Steps, judge
from policyd.evidence.intervals import mean_sequence, mixture_score, student_score
from policyd.evidence.moments import Moments
from policyd.evidence.off_policy import Verdict
from policyd.evidence.sequential import LEAST_EPISODES, difference_interval

_returns = st.lists(st.floats(-1000, 1000), max_size=30)


@given(_returns, _returns)
def test_merged_moments_are_those_of_all_returns(first: list[float], second: list[float]) -> None:
    """Merging gives the same moments in any order."""
    merged, everything = Moments.of(first).merged(Moments.of(second)), [*first, *second]
    assert merged.n == len(everything)
    if everything:
        assert merged.mean == pytest.approx(np.mean(everything), abs=1e-8)
        assert (merged.low, merged.high) == (min(everything), max(everything))
    if len(everything) > 1:
        assert merged.variance == pytest.approx(np.var(everything, ddof=1), abs=1e-6)


@pytest.mark.parametrize("freedom", [15, 40, 1000])
@pytest.mark.parametrize("level", [0.975, 0.999, 0.9999])
def test_student_score_is_students_quantile(freedom: int, level: float) -> None:
    """The expansion is within 2% of scipy's quantile."""
    score = student_score(np.array(stats.norm.ppf(level)), np.array(float(freedom)))
    assert score == pytest.approx(stats.t.ppf(level, freedom), rel=0.02)


def test_a_sequence_holds_at_every_look() -> None:
    """Of 400 sequences of 1,000 values, at most 5% exclude the true mean at any look."""
    values = np.random.default_rng(0).normal(1, 1, (400, 1000))
    n = np.arange(1, 1001)
    means = values.cumsum(axis=1) / n
    deviations = np.sqrt((np.square(values).cumsum(axis=1) / n - means**2) * n / np.maximum(1, n - 1))
    scores = student_score(mixture_score(n.astype(float), 0.05), np.maximum(1.0, n - 1))
    radius = scores * deviations / np.sqrt(n)
    missed = (np.abs(means - 1) > radius)[:, 30:].any(axis=1)
    assert missed.mean() <= 0.05
    sequence = mean_sequence(values[0, :200], 0.05)
    assert sequence.low < 1 < sequence.high
    assert sequence.high - sequence.mean == pytest.approx(radius[0, 199], rel=0.05)


@given(st.integers(0, 1000), st.integers(LEAST_EPISODES, 60))
def test_swapping_the_versions_turns_the_interval_round(seed: int, n: int) -> None:
    """Swapping the versions changes the sign of the interval."""
    rng = np.random.default_rng(seed)
    first, second = Moments.of(rng.standard_normal(n)), Moments.of(rng.standard_normal(n + 5))
    there, back = difference_interval(first, second, 0.05), difference_interval(second, first, 0.05)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.low <= there.mean <= there.high


def test_few_episodes_say_nothing() -> None:
    """Below LEAST_EPISODES the interval is infinite, however different the returns are."""
    few = Moments.of([100.0] * (LEAST_EPISODES - 1))
    interval = difference_interval(Moments.of([0.0, 1.0] * 100), few, 0.05)
    assert (interval.low, interval.high) == (-np.inf, np.inf)


def test_rare_failures_that_were_not_seen_are_allowed_for() -> None:
    """50 episodes without a failure do not show an advantage over 2% of failures; 1,000 do."""
    champion = Moments.of(([1.0] * 49 + [0.0]) * 100)
    assert not difference_interval(champion, Moments.of([1.0] * 50), 0.05).decided
    assert difference_interval(champion, Moments.of([1.0] * 1000), 0.05).low > 0


def test_judge_says_what_the_returns_say() -> None:
    """The verdict is BETTER, WORSE or CANNOT_TELL, with the interval in the reason."""
    rng = np.random.default_rng(0)
    champion = Arm(Moments.of(rng.normal(0, 1, 1000)), Moments.of([1.0] * 1000))
    verdicts = [
        judge(champion, Arm(Moments.of(rng.normal(mean, 1, 300)), Moments.of([1.0] * 300))).verdict
        for mean in (1.0, -1.0, 0.0)
    ]
    assert verdicts == [Verdict.BETTER, Verdict.WORSE, Verdict.CANNOT_TELL]


def test_a_version_whose_outcomes_stop_is_worse() -> None:
    """A version half of whose outcomes are missing is worse, even with equal returns."""
    returns = Moments.of(np.random.default_rng(0).normal(0, 1, 300))
    champion = Arm(returns, Moments.of([1.0] * 1000))
    judged = judge(champion, Arm(returns, Moments.of([1.0, 0.0] * 100)))
    assert judged.verdict is Verdict.WORSE
    assert "50% of its episodes" in judged.reason


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_shares_only_rise_and_stay_below_the_last(fewer: int, more: int) -> None:
    """More compared episodes never make the share smaller."""
    steps = Steps(first=0.05, last=0.5)
    low, high = sorted((fewer, more))
    assert 0.05 <= steps.share(low) <= steps.share(high) <= 0.5
