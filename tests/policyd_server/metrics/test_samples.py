"""Drift: observations of late against those of training."""

from __future__ import annotations

import numpy as np
import pytest

from policy_api.v1.artifact_pb2 import ObservationStatistics
from policy_api.v1.policy_pb2 import ActResponse, FloatArray, IntArray
from policyd_server.metrics.samples import MAX_ROWS, MIN_ROWS, Drift, sample_of

TRAINING = ObservationStatistics(mean=[1.0, -2.0, 5.0], std=[2.0, 0.5, 0.0], count=1000)


def observed(mean: tuple[float, float], std: tuple[float, float], rows: int = 20_000) -> Drift:
    """Statistics after rows of normal numbers.

    The third element was constant in training and varies now.
    """
    drift = Drift(TRAINING, 3)
    numbers = np.random.default_rng(0).normal(size=(rows, 2)) * std + mean
    for start in range(0, rows, 50):
        part = numbers[start : start + 50]
        drift.note(np.column_stack([part, np.full(len(part), 1e6)]))
    return drift


@pytest.mark.parametrize(
    ("mean", "std", "shift", "ratio"),
    [
        ((1.0, -2.0), (2.0, 0.5), 0.0, 1.0),  # as in training
        ((1.0, 0.0), (2.0, 0.5), 4.0, 1.0),  # (0 - -2) / 0.5
        ((1.0, -2.0), (8.0, 0.5), 0.0, 4.0),
        ((1.0, -2.0), (0.5, 0.5), 0.0, 4.0),
    ],
)
def test_a_shift_and_a_spread_are_told_in_standard_deviations(
    mean: tuple[float, float], std: tuple[float, float], shift: float, ratio: float
) -> None:
    """The element that moved most counts. One without variance in training is left out."""
    drift = observed(mean, std)
    assert drift.mean_drift == pytest.approx(shift, abs=0.8)
    assert drift.std_ratio == pytest.approx(ratio, rel=0.25)


def test_little_is_not_told() -> None:
    """There is no figure before MIN_ROWS, or without statistics of the training."""
    assert not observed((1.0, -2.0), (2.0, 0.5), rows=MIN_ROWS - 50).known
    without = Drift(ObservationStatistics(), 4)
    without.note(np.zeros((2 * MIN_ROWS, 4)))
    assert not without.known


def test_a_sample_holds_the_first_rows() -> None:
    """Of large responses a part is kept. Actions other than one index per row are left out."""
    rows = 2 * MAX_ROWS
    observations = np.arange(3 * rows, dtype=np.float32)
    answer = ActResponse(
        batch_size=rows,
        log_probs=FloatArray(raw=np.zeros(rows, np.float32).tobytes()),
        actions=IntArray(raw=np.ones(rows, np.int64).tobytes()),
    )
    sample = sample_of(observations.tobytes(), answer)
    assert sample.observations.shape == (MAX_ROWS, 3)
    assert sample.actions is not None
    assert len(sample.actions) == MAX_ROWS
    answer.actions.raw = np.ones(2 * rows, np.int64).tobytes()
    assert sample_of(observations.tobytes(), answer).actions is None


@pytest.mark.parametrize("elements", [2, 4])
def test_statistics_of_another_observation_are_left_out(elements: int) -> None:
    """An imported version may have any. They must not end the task that flushes all metrics."""
    drift = Drift(TRAINING, elements)
    drift.note(np.zeros((2 * MIN_ROWS, elements)))
    assert not drift.known
