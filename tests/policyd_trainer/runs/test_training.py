"""The training phase stops where it is asked to, and keeps its last good checkpoint."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from policy_api.v1.training_pb2 import TrainingFailure, TrainingProgress, TrainingResult
from policyd_trainer.algorithms.build import network_specs
from policyd_trainer.algorithms.learner import Diverged
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.make import inspect
from policyd_trainer.evaluation.budget import Budget
from policyd_trainer.evaluation.evaluator import Evaluator
from policyd_trainer.runs import checkpoint
from policyd_trainer.runs.reporting import Clock
from policyd_trainer.runs.training import Stopped, Training


class Silent:
    """A reporter that does nothing."""

    def progress(self, progress: TrainingProgress) -> None:
        """Does nothing."""

    def result(self, result: TrainingResult) -> None:
        """Does nothing."""

    def failure(self, failure: TrainingFailure) -> None:
        """Does nothing."""


def configuration(**settings: str) -> TrainingConfig:
    base = {"preset": "default", "n_envs": "4", "n_steps": "8", "total_timesteps": "3200", "candidates": "4"}
    return resolve_config("p", "CartPole-v1", "a2c", 0, {**base, "selection_episodes": "2", **settings})


def training_of(config: TrainingConfig, run_dir: Path) -> Training:
    info = inspect(config)
    specs = network_specs(config, info.encoder.layout, info.codec.distribution)
    clock = Clock(Silent(), config.total_timesteps)
    return Training(config, start(config, info), Evaluator(config, info, specs), clock, run_dir)


def test_candidates_and_curve(tmp_path: Path) -> None:
    """Three candidates are offered, the last weights are returned, and the curve is complete."""
    training = training_of(configuration(), tmp_path)
    last = training.run()
    steps = sorted(snapshot.env_steps for _, snapshot in training.state.selection.ranked)
    assert len(steps) == 3
    assert [round(step / 800) for step in steps] == [1, 2, 3]
    assert last.env_steps == training.state.curve.points[-1].env_steps >= 3200
    assert (tmp_path / "tensorboard").is_dir()


def test_stop_writes_a_checkpoint_that_goes_on(tmp_path: Path) -> None:
    """A run stopped at the fourth rollout resumes at the fourth rollout."""
    training = training_of(configuration(), tmp_path)
    asked = itertools.count(1)
    training.stop_requested = lambda: next(asked) == 4
    with pytest.raises(Stopped):
        training.run()
    again = training_of(configuration(), tmp_path)
    assert checkpoint.load(tmp_path, again.config, again.loop) is not None
    assert again.loop.counters.rollouts == 4
    assert again.run().env_steps >= 3200


def test_a_resumed_run_keeps_to_its_budget(tmp_path: Path) -> None:
    """Candidates get the scores that they would have got without the interruption."""
    config = configuration(candidates="8", selection_episodes="8", evaluation_steps="4000")
    ends = []
    interrupted = training_of(config, tmp_path / "interrupted")
    interrupted.evaluator.budget = Budget.of(config)
    asked = itertools.count(1)
    interrupted.stop_requested = lambda: next(asked) == 60
    with pytest.raises(Stopped):
        interrupted.run()
    assert interrupted.evaluator.budget.spent > 0
    for name in ("whole", "interrupted"):
        training = training_of(config, tmp_path / name)
        training.evaluator.budget = budget = Budget.of(config)
        training.run()
        scores = [(score, snapshot.env_steps) for score, snapshot in training.state.selection.ranked]
        ends.append((scores, budget.spent, budget.length))
    assert ends[0] == ends[1]


def test_divergence_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    """A run that diverges later keeps the checkpoint from before."""
    config = configuration(
        optimizer="sgd", learning_rate="1e25", max_grad_norm="null", checkpoint_seconds="1000", candidates="1"
    )
    with pytest.raises(Diverged):
        training_of(config, tmp_path).run()
    fresh = training_of(config, tmp_path)
    assert checkpoint.load(tmp_path, config, fresh.loop) is not None
    assert fresh.loop.counters.rollouts >= 1
    fresh.loop.check_finite()
