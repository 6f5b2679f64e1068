"""Judging the policies of a run takes fewer environment steps than its training."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from policy_api.v1.gate_pb2 import GateConfig, GateVerdict
from policy_api.v1.training_pb2 import TrainingFailure, TrainingProgress, TrainingResult
from policyd_trainer.config import resolve_config
from policyd_trainer.evaluation.budget import EVALUATION, Budget
from policyd_trainer.gate.config import Gate
from policyd_trainer.gate.judging import FEWEST, Promotion, within
from policyd_trainer.runs.fitting import fitted
from policyd_trainer.runs.phases import RunOptions, execute
from policyd_trainer.runs.training import Stopped

TESTS = Path(__file__).parents[1]


class Told:
    """A reporter that keeps the last progress."""

    def __init__(self) -> None:
        self.last = TrainingProgress()

    def progress(self, progress: TrainingProgress) -> None:
        """Keeps the progress."""
        self.last = progress

    def result(self, result: TrainingResult) -> None:
        """Does nothing."""

    def failure(self, failure: TrainingFailure) -> None:
        """Does nothing."""


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An environment whose counts start from zero."""
    monkeypatch.syspath_prepend(TESTS)
    entry = importlib.import_module("awkward").Counted
    entry.resets = entry.steps = entry.ended = entry.living = entry.most = 0
    return entry


def run(tmp_path: Path, told: Told, stop: Any = lambda: False, **settings: Any) -> TrainingResult:
    given = {"total_timesteps": 4000, "n_envs": 4, "env_kwargs": {"length": 20}, **settings}
    texts = {key: json.dumps(value) for key, value in given.items()}
    config = fitted(resolve_config("p", "awkward:Counted-v0", "a2c", 0, texts), texts)
    options = RunOptions(tmp_path / "repository", tmp_path / "run", "", Promotion(promote=True))
    return execute(config, options, told, stop)


def test_judging_takes_fewer_steps_than_training(tmp_path: Path, counted: Any) -> None:
    """Evaluation takes fewer steps than training, by default with many candidates, too.

    At no time are there more environments for it than for training.
    """
    told = Told()
    run(tmp_path, told)
    trained = 4096  # whole rollouts of 4 x 32
    assert 0 < counted.steps - trained <= told.last.total_evaluation_steps == 4000
    assert told.last.evaluation_steps == counted.steps - trained
    assert counted.most <= 8
    assert counted.living == 0


def test_the_gate_stays_within_the_budget(tmp_path: Path, counted: Any) -> None:
    """The second version is compared with the first within the rest of the budget."""
    told = Told()
    run(tmp_path, told)
    before = counted.steps
    (tmp_path / "run").rename(tmp_path / "first")
    result = run(tmp_path, told)
    assert (result.version, result.verdict.champion_version) == (2, 1)
    assert result.verdict.episodes >= FEWEST
    assert counted.steps - before <= 4096 + 4000 + 4 * FEWEST * 20  # the fewest episodes are always played


def test_a_budget_too_small_for_the_gate_says_so(tmp_path: Path, counted: Any) -> None:
    """Nothing is compared, the champion stays, and the verdict says how many steps are needed."""
    run(tmp_path, Told())
    before = counted.steps
    (tmp_path / "run").rename(tmp_path / "first")
    result = run(tmp_path, Told(), evaluation_steps=300)
    assert (result.version, result.promoted) == (2, False)
    assert result.verdict.outcome == GateVerdict.OUTCOME_CANNOT_TELL
    assert result.verdict.episodes == 0
    assert "evaluation_steps 300 leave" in result.verdict.explanation
    assert "10 paired episodes take about 800; raise evaluation_steps" in result.verdict.explanation
    assert counted.steps - before <= 4096 + 300


def test_selection_and_evaluation_leave_room_for_the_gate(tmp_path: Path) -> None:
    """Ten paired episodes of 20 steps take 800 of 1,400 steps, and they are played."""
    run(tmp_path, Told())
    (tmp_path / "run").rename(tmp_path / "first")
    result = run(tmp_path, Told(), evaluation_steps=1400)
    assert result.verdict.episodes == FEWEST


def test_the_evaluation_that_was_asked_for_is_played(tmp_path: Path) -> None:
    """As many episodes are played as the caller set, however many steps they take."""
    result = run(tmp_path, Told(), evaluation_episodes=60, total_timesteps=400)
    assert result.evaluation.greedy.episodes == result.evaluation.sampled.episodes == 60


def test_a_stop_is_noticed_in_the_evaluation(tmp_path: Path, counted: Any) -> None:
    """The run stops at the next step, instead of the next phase."""
    told = Told()
    with pytest.raises(Stopped):
        run(tmp_path, told, lambda: told.last.phase == TrainingProgress.EVALUATING, candidates=1)
    assert counted.steps <= 4096 + 4  # less than one step in each environment


def test_episodes_within_a_budget() -> None:
    """The rest of the allowed share is divided among the runs."""
    budget = Budget(steps=1000, length=10.0)
    assert budget.episodes(100, runs=2, until=0.5) == 25
    budget.step(300)
    assert budget.episodes(100, runs=2, until=0.5) == 10
    assert budget.episodes(4, runs=2, until=0.5) == 4
    budget.step(300)
    assert budget.episodes(100, runs=2, until=0.5) == 0
    assert Budget().episodes(100, runs=9, until=EVALUATION) == 100


def test_the_gate_that_was_asked_for_stays() -> None:
    """A number of episodes is cut only if it was not given, whatever its value."""
    small = Budget(steps=100, length=10.0)
    assert within(Gate.of(GateConfig()), small).looks == (FEWEST,)
    asked = Gate.of(GateConfig(block_episodes=30, max_episodes=90))
    assert within(asked, small) == asked
    as_by_default = Gate.of(GateConfig(block_episodes=20, max_episodes=500))
    assert within(as_by_default, small) == as_by_default
    assert within(Gate.of(GateConfig()), Budget()) == Gate.of(GateConfig())
