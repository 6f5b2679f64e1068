"""Candidates that another process scores get the scores that they would have got here."""

from __future__ import annotations

import itertools
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from policyd.errors import InvalidArgument
from policyd_trainer.runs import checkpoint
from policyd_trainer.runs.training import Stopped, Training
from tests.policyd_trainer.runs.test_training import configuration, training_of


def ranked(training: Training) -> list[tuple[float, int]]:
    return [(score, snapshot.env_steps) for score, snapshot in training.state.selection.ranked]


def trained(run_dir: Path, **settings: str) -> Training:
    training = training_of(configuration(candidates="8", **settings), run_dir)
    training.evaluator.budget.steps = 8_000  # so that it limits how much is played
    training.run()
    return training


def test_the_same_candidates_are_kept_as_in_one_process(tmp_path: Path) -> None:
    """Scores, their order and the rest of the budget are the same as in one process."""
    here, beside = trained(tmp_path / "here"), trained(tmp_path / "beside", score_beside="true")
    assert ranked(beside) == ranked(here)
    assert len(ranked(here)) == 4
    for (_, ours), (_, theirs) in zip(
        here.state.selection.ranked, beside.state.selection.ranked, strict=True
    ):
        np.testing.assert_array_equal(ours.actor, theirs.actor)
    budgets = [each.evaluator.budget for each in (here, beside)]
    assert budgets[0].spent == budgets[1].spent > 0
    assert budgets[0].length == budgets[1].length
    assert not multiprocessing.active_children()


def test_a_stopped_run_scores_what_was_waiting(tmp_path: Path) -> None:
    """If a run stops while candidates wait, a resumed run keeps those of an uninterrupted one."""
    whole = training_of(configuration(candidates="8"), tmp_path / "whole")
    whole.run()
    config = configuration(candidates="8", score_beside="true")
    stopped = training_of(config, tmp_path / "stopped")
    asked = itertools.count(1)
    stopped.stop_requested = lambda: next(asked) == 40  # of 100 rollouts, after three candidates
    with pytest.raises(Stopped):
        stopped.run()
    assert not multiprocessing.active_children()
    again = training_of(config, tmp_path / "stopped")
    saved = checkpoint.load(tmp_path / "stopped", config, again.loop)
    assert saved is not None
    assert len(saved.pending) + len(saved.selection.ranked) == 3
    again.run()
    assert ranked(again) == ranked(whole)
    assert not again.state.pending


def test_an_environment_that_fails_there_ends_the_run(tmp_path: Path) -> None:
    """If the process cannot make its environments, the run ends with the reason."""
    config = configuration(score_beside="true")
    training = training_of(config, tmp_path)
    training.config = config.model_copy(update={"env_kwargs": {"unheard": 1}})
    with pytest.raises(InvalidArgument, match="unheard"):
        training.run()
    for process in multiprocessing.active_children():
        process.join(60)  # it ends by itself
        assert process.exitcode == 0
