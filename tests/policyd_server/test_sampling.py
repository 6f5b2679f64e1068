"""Sampling and reweighting of whole batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from policyd import sampling as scalar
from policyd_server import sampling

seeds = st.integers(0, 2**64 - 1)
rows = st.integers(0, 2**64 - 1)
weights = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20).filter(lambda w: sum(w) > 0)
logits = st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=12)


def _row(values: list[float]) -> sampling.Float32:
    return np.array([values], np.float32)


def test_the_mixing_function_is_splitmix64() -> None:
    """The first outputs for seed 0 are those that SplitMix64's author publishes."""
    states = [(k * scalar.GOLDEN) & scalar.MASK64 for k in (1, 2, 3)]
    assert [hex(scalar.mix64(state)) for state in states] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


@given(seed=seeds, row=rows, draw=st.integers(0, 5))
def test_both_paths_draw_the_same_uniform_number(seed: int, row: int, draw: int) -> None:
    """Plain Python and numpy agree bit for bit, also when indices wrap around."""
    assert sampling.uniforms(sampling.row_states([seed], [row], [1]), draw)[0] == scalar.uniform(
        seed, row, draw
    )


@given(
    batch=st.lists(st.tuples(seeds, rows, st.integers(1, 5)), min_size=1, max_size=6), draw=st.integers(0, 2)
)
def test_requests_of_several_rows_draw_by_their_own_indices(
    batch: list[tuple[int, int, int]], draw: int
) -> None:
    """Row i of a request draws with first_row + i, modulo 2^64.

    Other requests in the batch change nothing.
    """
    u = sampling.uniforms(sampling.row_states(*zip(*batch, strict=True)), draw)
    assert u.tolist() == [
        scalar.uniform(seed, first + i, draw) for seed, first, count in batch for i in range(count)
    ]


@given(values=weights, seed=seeds, row=rows)
def test_both_paths_choose_the_same_action(values: list[float], seed: int, row: int) -> None:
    """Row by row, or as arrays, the action and its logarithm are the same."""
    probs = _row(values)
    actions = sampling.choose(probs, sampling.uniforms(sampling.row_states([seed], [row], [1])))
    action = scalar.sample(values, seed, row)
    assert actions[0] == action
    assert values[action] > 0
    assert sampling.log_probs(probs, actions)[0] == np.float32(np.log(values[action]))


@given(values=weights, u=st.sampled_from([0.0, 2.0**-53, 0.5, 1 - 2.0**-53]))
def test_extreme_numbers_choose_a_possible_action(values: list[float], u: float) -> None:
    """The ends of [0, 1) choose an action with positive probability, the same on both paths."""
    action = scalar.choose(_row(values)[0].tolist(), u)
    assert sampling.choose(_row(values), np.array([u]))[0] == action
    assert values[action] > 0


def test_rounding_that_leaves_no_index_takes_the_last_possible_one() -> None:
    """If a number rounds up to the total, the last index with a probability is chosen."""
    values = [0.25, 0.75, 0.0]
    assert scalar.choose(values, 1.0) == 1
    assert sampling.choose(_row(values), np.array([1.0]))[0] == 1


@given(batch=st.lists(st.tuples(seeds, rows), min_size=1, max_size=64), values=weights)
def test_batch_mates_change_nothing(batch: list[tuple[int, int]], values: list[float]) -> None:
    """Each row of a batch gets the same as alone."""
    probs = np.repeat(_row(values), len(batch), axis=0)
    each = [seed for seed, _ in batch], [row for _, row in batch], [1] * len(batch)
    u = sampling.uniforms(sampling.row_states(*each))
    together = sampling.choose(probs, u).tolist()
    assert together == [scalar.sample(values, seed, row) for seed, row in batch]


@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_frequencies_follow_the_probabilities(seed: int) -> None:
    """A chi-square test finds no difference between frequencies and probabilities.

    It uses 200,000 rows of one seed.
    """
    values = np.array([0.5, 0.25, 0.15, 0.09, 0.01], np.float32)
    count = 200_000
    u = sampling.uniforms(sampling.row_states([seed], [0], [count]))
    actions = sampling.choose(np.broadcast_to(values, (count, 5)), u)
    expected = values.astype(np.float64) / values.astype(np.float64).sum() * count
    assert stats.chisquare(np.bincount(actions, minlength=5), expected).pvalue > 1e-4


def test_seeds_in_a_row_are_independent() -> None:
    """First rows of 200,000 consecutive seeds are uniform, and neighbours are uncorrelated."""
    u = sampling.uniforms(sampling.row_states(range(200_000), [0] * 200_000, [1] * 200_000))
    assert stats.kstest(u, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.01


@given(values=logits, temperature=st.floats(0.05, 20), data=st.data())
def test_masked_actions_have_probability_zero_and_the_others_are_renormalised(
    values: list[float], temperature: float, data: st.DataObject
) -> None:
    """Masked probabilities are exactly 0. The others keep their ratios and sum to 1."""
    allowed = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)).filter(any))
    mask = np.array([allowed])
    free = sampling.reweight(_row(values), temperature, None)[0].astype(np.float64)
    masked = sampling.reweight(_row(values), temperature, mask)[0]
    assert (masked[~mask[0]] == 0).all()
    assert masked.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    if free[mask[0]].sum() > 1e-3:
        np.testing.assert_allclose(masked[mask[0]], free[mask[0]] / free[mask[0]].sum(), rtol=1e-4, atol=1e-6)


@given(values=logits, temperature=st.floats(1e-3, 1e3))
def test_temperature_divides_the_logits(values: list[float], temperature: float) -> None:
    """The result is the softmax of logits / T, for any size, and always a distribution."""
    probs = sampling.reweight(_row(values), temperature, None)[0]
    exact = np.exp((np.array(values) - max(values)) / temperature)
    np.testing.assert_allclose(probs, exact / exact.sum(), rtol=1e-5, atol=1e-7)
    assert probs.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)


@given(values=st.lists(logits.filter(lambda v: len(v) == 3), min_size=1, max_size=70))
def test_reweighting_a_row_does_not_depend_on_the_batch(values: list[list[float]]) -> None:
    """Each row's probabilities are the same bits alone and in the batch."""
    batch = np.array(values, np.float32)
    together = sampling.reweight(batch, 0.7, None)
    alone = np.concatenate([sampling.reweight(row[None], 0.7, None) for row in batch])
    np.testing.assert_array_equal(together, alone)


@given(values=weights)
def test_the_mode_is_the_first_largest(values: list[float]) -> None:
    """Both paths give the same mode."""
    assert (
        sampling.modes(_row(values))[0]
        == scalar.mode(_row(values)[0].tolist())
        == int(np.argmax(_row(values)))
    )


def test_the_documented_values_hold() -> None:
    """The test values of docs/guide/sampling.md are what the code computes."""
    text = (Path(__file__).resolve().parents[2] / "docs/guide/sampling.md").read_text()
    assert f"0x{scalar.mix64(scalar.GOLDEN):016X}" in text
    assert f"u = {scalar.uniform(0, 0)!r}" in text
    assert f"u = {scalar.uniform(42, 7)!r}" in text
