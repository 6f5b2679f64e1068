"""A run that goes on from a checkpoint is the run that was not interrupted."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest

from policyd.errors import FailedPrecondition
from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.make import inspect
from policyd_trainer.evaluation.selection import Selection
from policyd_trainer.runs import checkpoint
from policyd_trainer.runs.checkpoint import RunState
from policyd_trainer.runs.curve import Curve

EVERYTHING = {
    "total_timesteps": "4000",
    "normalize_observations": "true",
    "normalize_rewards": "true",
    "ema_decay": "0.9",
    "lr_schedule": "cosine",
}
A2C = {**EVERYTHING, "n_envs": "4", "n_steps": "8", "minibatch_size": "16", "n_epochs": "2"}
REINFORCE = {**EVERYTHING, "n_envs": "2", "episodes_per_update": "4"}


def fresh(config: TrainingConfig) -> TrainingLoop:
    return start(config, inspect(config))


def weights(loop: TrainingLoop) -> list[np.ndarray]:
    assert loop.learner.critic is not None
    parameters = [loop.learner.actor.parameters, loop.learner.critic.parameters]
    return [np.array(array) for array in (*parameters, loop.acting.export_parameters())]


def run_all(loop: TrainingLoop) -> list[np.ndarray]:
    for _ in loop.run():
        pass
    return weights(loop)


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [("a2c", A2C), ("a2c", {**A2C, "n_envs": "1"}), ("reinforce", REINFORCE)],
    ids=["a2c-numpy-env", "a2c-plain-env", "reinforce"],
)
def test_resumed_training_is_exact(tmp_path: Path, algorithm: str, settings: dict[str, str]) -> None:
    """From a checkpoint at update k, the last weights equal the uninterrupted run's, bit by bit."""
    config = resolve_config("p", "CartPole-v1", algorithm, 0, settings)
    expected = run_all(fresh(config))
    interrupted = fresh(config)
    for _ in itertools.islice(interrupted.run(), 5):
        pass
    checkpoint.save(tmp_path, config, interrupted, RunState(Selection(), Curve(), seconds=1.5))
    resumed = fresh(config)
    state = checkpoint.load(tmp_path, config, resumed)
    assert state is not None
    assert state.seconds == 1.5
    assert resumed.counters.rollouts == 5
    for ours, theirs in zip(run_all(resumed), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_same_seed_same_weights() -> None:
    """Two runs of one configuration give the same weights. Another seed gives others."""
    config, other = (resolve_config("p", "CartPole-v1", "a2c", seed, A2C) for seed in (1, 2))
    first, second, third = (run_all(fresh(each))[0] for each in (config, config, other))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)


def test_environments_that_cannot_be_saved(tmp_path: Path) -> None:
    """LunarLander (Box2D) resumes with new environments, twice in the same way."""
    settings = {**A2C, "total_timesteps": "600", "rollout_workers": "0", "max_episode_steps": "20"}
    config = resolve_config("p", "LunarLander-v3", "a2c", 0, settings)
    interrupted = fresh(config)
    next(iter(interrupted.run()))
    checkpoint.save(tmp_path, config, interrupted, RunState(Selection(), Curve()))
    ends = []
    for _ in range(2):
        resumed = fresh(config)
        assert checkpoint.load(tmp_path, config, resumed) is not None
        ends.append(run_all(resumed)[0])
        assert max(resumed.episodes.lengths) <= 20  # none began before the interruption
    np.testing.assert_array_equal(ends[0], ends[1])


def test_other_settings_are_refused(tmp_path: Path) -> None:
    """A run does not resume from a checkpoint with other settings.

    A broken one, or one of another release, is ignored.
    """
    config, other = (resolve_config("p", "CartPole-v1", "a2c", seed, A2C) for seed in (1, 2))
    assert checkpoint.load(tmp_path, config, fresh(config)) is None
    checkpoint.save(tmp_path, config, fresh(config), RunState(Selection(), Curve()))
    with pytest.raises(FailedPrecondition, match="other settings"):
        checkpoint.load(tmp_path, other, fresh(other))
    (tmp_path / checkpoint.FILE).write_bytes(pickle.dumps({"format": checkpoint.FORMAT - 1}))
    assert checkpoint.load(tmp_path, config, fresh(config)) is None
    (tmp_path / checkpoint.FILE).write_bytes(b"half a chec")
    assert checkpoint.load(tmp_path, config, fresh(config)) is None
