"""The benchmark of training: what is recorded, scored and reported."""

import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.training import chart, report
from benchmarks.training.measure import Plan, run
from benchmarks.training.recorder import STARTED, Recorder, Snapshot
from benchmarks.training.results import Point, RunResult, band, median_time
from benchmarks.training.scoring import Scorer

ALWAYS_LEFT = Snapshot(0.0, 0, [(np.zeros((4, 2)), np.array([100.0, 0.0]))], "tanh")


def result(curve: list[Point], solved: float | None) -> RunResult:
    return RunResult(
        "policyd A2C", "CartPole-v1", 1, 0.5, 9.0, 8.0, 800, 8.0, 100.0, curve, solved, 500.0, 499.0
    )


def test_snapshot_acts_as_the_network_it_holds() -> None:
    """Two layers with normalised observations give softmax(W2 tanh(W1 x + b1) + b2)."""
    w1, b1, w2, b2 = (
        np.eye(2),
        np.array([0.1, -0.2]),
        np.array([[1.0, 2.0], [3.0, -1.0]]),
        np.array([0.0, 0.5]),
    )
    snapshot = Snapshot(0.0, 0, [(w1, b1), (w2, b2)], "tanh", np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    logits = np.tanh(np.array([1.0, 0.5]) + b1) @ w2 + b2  # (3 - 1) / 2 and (4 - 2) / 4
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(snapshot.probabilities(np.array([[3.0, 4.0]]))[0], expected)


def test_score_depends_on_the_seed_alone() -> None:
    """A policy that always pushes left falls within about ten steps.

    The same seed gives the same steps.
    """
    scorer = Scorer("CartPole-v1", episodes=5)
    first, again, other = (scorer.mean_return(ALWAYS_LEFT, seed) for seed in ((1, 0), (1, 0), (2, 0)))
    scorer.close()
    assert first == again
    assert 8 <= min(first, other) <= max(first, other) <= 11


def test_snapshots_grow_rarer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next snapshot is due after the gap, or after a share of the learning time so far."""
    monkeypatch.setenv(STARTED, str(time.time() - 100.0))
    recorder = Recorder(gap=1.0, growth=0.1, max_seconds=101.5)
    assert recorder.due()
    recorder.take(ALWAYS_LEFT)
    assert not recorder.due()
    assert not recorder.over()


def test_a_run_that_never_gets_there_counts_as_infinite() -> None:
    """A seed that never solves the task counts in the median as infinite."""
    runs = [result([], 3.0), result([], None), result([], 5.0)]
    assert median_time(runs, lambda r: r.solved_seconds) == (5.0, 3.0, float("inf"))


def test_a_finished_run_keeps_its_last_policy_in_the_band() -> None:
    """At each moment the latest policy of each run counts."""
    slow = result([Point(1.0, 10, 20.0), Point(4.0, 40, 100.0)], None)
    quick = result([Point(1.0, 10, 40.0)], None)
    mean, lowest, highest = band([slow, quick], np.array([1.0, 5.0]))
    np.testing.assert_allclose((mean, lowest, highest), ([30, 70], [20, 40], [40, 100]))


def test_our_own_process_is_measured_scored_and_drawn(tmp_path: Path) -> None:
    """A short run leaves its record, a table that names it, and a picture."""
    plan = Plan(("policyd A2C",), ("CartPole-v1",), (1,), {}, max_seconds=1.5, episodes=4)
    results = run(plan, Path(), tmp_path, {"machine": "a test's"})
    (one,) = results.runs
    assert 0 < one.import_seconds < one.seconds
    assert one.env_steps > 0
    assert one.peak_mb > 10
    text = report.markdown(results)
    assert "policyd A2C" in text
    assert "of the limit" in text
    chart.draw(results, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 5000
