"""What a client claims to have observed moves the others' scaling by a stated factor at most."""

from __future__ import annotations

import numpy as np
import pytest

from policyd_trainer.estimators.normalization import RunningMoments
from policyd_trainer.experience.outliers import within_reach

RNG = np.random.default_rng(0)
HONEST = RNG.standard_normal((2000, 3)).astype(np.float32) * [1.0, 1e-3, 50.0] + [0.0, 5.0, -20.0]
HONEST = HONEST.astype(np.float32)


def std_of(rows: np.ndarray) -> np.ndarray:
    """The standard deviation that the scaling uses."""
    moments = RunningMoments.zeros(rows.shape[1:])
    moments.update(within_reach(rows))
    return moments.std


def test_ordinary_observations_stay_as_they_are() -> None:
    """Normal numbers, flags that are seldom set, constants and no rows are not changed."""
    flags = (RNG.random((2000, 1)) < 0.02).astype(np.float32)
    rows = np.concatenate((HONEST, flags, np.full_like(flags, 7e5)), axis=1)
    assert np.array_equal(within_reach(rows), rows)
    assert within_reach(rows[:0]).shape == (0, 5)
    assert within_reach(rows[:1]).tolist() == rows[:1].tolist()


@pytest.mark.parametrize("claim", [1e3, 1e30, -3e38])
@pytest.mark.parametrize("both_sides", [False, True])
def test_a_tenth_of_absurd_observations_is_bounded(claim: float, both_sides: bool) -> None:
    """The deviation grows 5 times at most, and the mean moves by less than 2 deviations."""
    rows = HONEST.copy()
    rows[::10] = claim
    if both_sides:
        rows[::20] = -claim
    assert (std_of(rows) < 5 * HONEST.std(axis=0)).all()
    moved = np.abs(within_reach(rows).mean(axis=0) - HONEST.mean(axis=0))
    assert (moved < 2 * HONEST.std(axis=0)).all()


def test_images_are_looked_at_in_part() -> None:
    """The quantiles of some rows decide for all."""
    rows = RNG.random((400, 6000)).astype(np.float32)
    rows[7] = 1e30
    assert within_reach(rows).max() < 10
