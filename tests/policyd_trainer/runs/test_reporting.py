"""What people and machines are told, and what lies beside a version to look at."""

from __future__ import annotations

import io
import itertools
import json
import threading
from pathlib import Path

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from policy_api.v1 import artifact_pb2
from policy_api.v1.training_pb2 import TrainingFailure, TrainingProgress, TrainingResult
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.make import inspect
from policyd_trainer.evaluation.budget import Budget
from policyd_trainer.report.learning_curve import draw
from policyd_trainer.rollouts.episodes import EpisodeLog
from policyd_trainer.runs.bar import BarReporter
from policyd_trainer.runs.beating import beating
from policyd_trainer.runs.curve import Curve, measure
from policyd_trainer.runs.reporting import AFTERWARDS, INTERVAL, SILENCE, Clock, JsonReporter
from policyd_trainer.runs.tensorboard import EventFile

STANDARD = {
    "rollout/ep_rew_mean",
    "rollout/ep_len_mean",
    "time/fps",
    "train/entropy_loss",
    "train/explained_variance",
    "train/learning_rate",
    "train/n_updates",
    "train/policy_loss",
    "train/value_loss",
}


def curve_of_a_run() -> Curve:
    config = resolve_config("p", "CartPole-v1", "a2c", 0, {"preset": "default", "total_timesteps": "4000"})
    loop, curve = start(config, inspect(config)), Curve()
    for k, _ in enumerate(loop.run()):
        curve.points.append(measure(loop, 1000.0 + k, 5.0))
    return curve


def test_no_progress_comes_after_the_end() -> None:
    """A thread repeats the progress, and may come to write when the last line is written."""
    out = io.StringIO()
    reporter = JsonReporter(out)
    reporter.progress(TrainingProgress(env_steps=1))
    reporter.failure(TrainingFailure(reason="ENVIRONMENT_HANGS"))
    reporter.progress(TrainingProgress(env_steps=2))
    assert [list(json.loads(line)) for line in out.getvalue().splitlines()] == [["progress"], ["failure"]]


def test_clock() -> None:
    """Reports of a phase are a quarter of a second apart. A new phase is reported at once.

    The ETA fits.
    """
    out, times = io.StringIO(), itertools.count(0.0, INTERVAL / 2)
    clock = Clock(JsonReporter(out), 1000, now=lambda: now)
    for k in range(9):
        now = next(times)
        if clock.due(TrainingProgress.TRAINING):
            clock.tell(TrainingProgress.TRAINING, k / 20, 50 * k, 1.5)
    clock.tell(TrainingProgress.EVALUATING, 0.9, 1000, None)
    told = [json.loads(line)["progress"] for line in out.getvalue().splitlines()]
    assert [each["phase"] for each in told] == ["TRAINING"] * 5 + ["EVALUATING"]
    assert told[4]["envStepsPerSecond"] == pytest.approx(400.0)
    assert float(told[4]["eta"].rstrip("s")) == pytest.approx(1.5 + 0.6 * AFTERWARDS)
    assert told[4]["meanReturn"] == 1.5
    assert told[5]["meanReturn"] == 1.5  # of the training, which is over


def test_the_speed_is_the_loops() -> None:
    """Time for evaluating candidates does not count."""
    out, now = io.StringIO(), 0.0
    clock = Clock(JsonReporter(out), 1000, now=lambda: now)
    clock.tell(TrainingProgress.TRAINING, 0.0, 0, None)
    with clock.aside():
        now = 3.0
    now = 4.0
    clock.tell(TrainingProgress.TRAINING, 0.2, 200, None)
    told = json.loads(out.getvalue().splitlines()[-1])["progress"]
    assert told["envStepsPerSecond"] == 200
    assert told["elapsed"] == "4s"


def test_the_eta_moves_without_a_step() -> None:
    """The ETA counts down without reports, and grows again if it was too short."""
    out, now = io.StringIO(), 0.0
    clock = Clock(JsonReporter(out), 1000, now=lambda: now)
    clock.tell(TrainingProgress.TRAINING, 0.0, 0, None)
    now = 10.0
    clock.tell(TrainingProgress.TRAINING, 0.5, 500, None)
    told = []
    for _ in range(60):
        now += SILENCE
        clock.repeat()
        told.append(json.loads(out.getvalue().splitlines()[-1])["progress"])
    etas = [float(each["eta"].rstrip("s")) for each in told]
    assert etas[:3] == pytest.approx([10.0 + AFTERWARDS / 2 - second for second in (1, 2, 3)])
    assert all(eta != following for eta, following in itertools.pairwise(etas))
    assert min(etas) > 0
    assert etas[-1] == pytest.approx(6.0)
    assert told[-1]["elapsed"] == "70s"
    assert {each["fraction"] for each in told} == {0.5}


def test_a_silent_run_is_told_by_its_own_thread() -> None:
    """Reports are written while the main thread is busy, and stop with the block."""
    heard = threading.Semaphore(0)

    class Heard(JsonReporter):
        def progress(self, progress: TrainingProgress) -> None:
            heard.release()

    clock = Clock(Heard(io.StringIO()), 1000)
    clock.tell(TrainingProgress.EXPORTING, 0.95, 1000, None)
    assert heard.acquire(blocking=False)
    with beating(clock):
        assert heard.acquire(timeout=60)
    assert "progress" not in {thread.name for thread in threading.enumerate()}


def test_the_eta_covers_the_gate() -> None:
    """The comparison's episodes count in the remaining time, before it and during it."""
    budget = Budget(steps=10_000, planned=100, reserved=40, length=10.0)
    assert budget.expected == 100 * 10 + 40 * 10
    budget.step(700)  # selection and evaluation took fewer steps than planned
    budget.begin_gate(4 * 20)
    assert budget.expected == 700 + 80 * 10
    budget.step(800)
    budget.begin_gate(4 * 30)
    assert budget.expected == 700 + 120 * 10


def test_bar() -> None:
    """The bar shows return, steps per second and ETA. Below it is the end in plain words."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with BarReporter(console) as bar:
        progress = TrainingProgress(
            phase=TrainingProgress.TRAINING,
            fraction=0.5,
            env_steps=500,
            total_env_steps=1000,
            mean_return=42.5,
            env_steps_per_second=1234.0,
        )
        progress.eta.FromSeconds(65)
        bar.progress(progress)
        evaluation = artifact_pb2.Evaluation(greedy=artifact_pb2.ReturnFigures(episodes=2, mean=499.0))
        bar.result(TrainingResult(policy="p", version=3, version_path="models/p/3", evaluation=evaluation))
        bar.failure(TrainingFailure(reason="DIVERGED", message="NaN"))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    for text in (
        "training",
        "50%",
        "return 42.5",
        "1,234 steps/s",
        "ETA 1:05",
        "p version 3",
        "499.0",
        "DIVERGED",
    ):
        assert text in shown


def test_event_file(tmp_path: Path) -> None:
    """TensorBoard's reader finds standard names, steps and times, also after a resume."""
    points = curve_of_a_run().points
    path = tmp_path / "tensorboard" / "events.out.tfevents.test"
    EventFile(path, points[:2]).close()
    events = EventFile(path, points[:2])
    for point in points[2:]:
        events.add(point)
    events.close()
    read = [event for event in EventFileLoader(str(path)).Load() if event.HasField("summary")]
    assert [event.step for event in read] == [point.env_steps for point in points]
    assert read[0].wall_time == 1000.0
    assert {value.tag for event in read for value in event.summary.value} == STANDARD


def test_picture() -> None:
    """A PNG is drawn from any curve, also from an empty one."""
    figures = artifact_pb2.ReturnFigures(episodes=2, mean=30.0, ci_low=20.0, ci_high=40.0)
    metadata = artifact_pb2.PolicyMetadata(
        policy="p", evaluation=artifact_pb2.Evaluation(greedy=figures, sampled=figures)
    )
    for curve in (curve_of_a_run(), Curve()):
        assert draw(curve, EpisodeLog(), metadata).startswith(b"\x89PNG")
