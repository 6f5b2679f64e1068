"""An even sample of a stream."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from policyd_trainer.evaluation.reservoir import Reservoir


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(1, 30))
def test_it_keeps_what_was_offered_once(sizes: list[int], capacity: int) -> None:
    """The reservoir keeps as many rows as fit. Each was offered, and none is there twice."""
    reservoir = Reservoir(capacity, 0)
    rows = np.arange(sum(sizes), dtype=np.float32)[:, None]
    for block in np.split(rows, np.cumsum(sizes)[:-1]):
        reservoir.offer(block)
    kept = reservoir.rows[:, 0].tolist()
    assert len(set(kept)) == len(kept) == min(capacity, sum(sizes))


def test_every_row_has_the_same_chance() -> None:
    """Over 2,000 samples of 10 in 100, each row is kept 200 times within five standard errors."""
    counts = np.zeros(100)
    for seed in range(2000):
        reservoir = Reservoir(10, seed)
        for block in np.split(np.arange(100)[:, None], [1, 30, 31, 90]):
            reservoir.offer(block)
        counts[reservoir.rows[:, 0]] += 1
    assert np.abs(counts - 200).max() < 5 * np.sqrt(2000 * 0.1 * 0.9)
