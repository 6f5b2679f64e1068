"""Rollout workers give what one process gives, and end with their owner."""

from __future__ import annotations

import multiprocessing
import os
import signal

import numpy as np
import pytest

from policyd.runtime.cpus import usable_cpus
from policyd_trainer.algorithms.build import network_specs
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.errors import EnvironmentFailed, EnvironmentHangs
from policyd_trainer.environments.make import inspect
from policyd_trainer.estimators.normalization import ObservationScaling
from policyd_trainer.guardian import pulse
from policyd_trainer.rollouts.worker import Order
from policyd_trainer.rollouts.workers import shares_of, workers_of


def configuration(algorithm: str, workers: int | str) -> TrainingConfig:
    settings = {
        "n_envs": "4",
        "total_timesteps": "700",
        "max_episode_steps": "60",
        "normalize_observations": "true",
    }
    settings |= {"n_steps": "40"} if algorithm == "a2c" else {"episodes_per_update": "8"}
    return resolve_config(
        "p", "Acrobot-v1", algorithm, 0, {"preset": "default", **settings, "rollout_workers": str(workers)}
    )


def weights_and_state(config: TrainingConfig) -> tuple[np.ndarray, int, bytes | None]:
    loop = start(config, inspect(config))
    try:
        for _ in loop.run():
            pass
        return loop.acting.export_parameters(), loop.counters.env_steps, loop.collector.snapshot()
    finally:
        loop.collector.close()


@pytest.mark.parametrize("algorithm", ["a2c", "reinforce"])
def test_same_weights_with_any_number_of_workers(algorithm: str) -> None:
    """Training with no, one or three workers gives the same weights."""
    expected, steps, _ = weights_and_state(configuration(algorithm, 0))
    for workers in (1, 3):
        weights, worker_steps, snapshot = weights_and_state(configuration(algorithm, workers))
        np.testing.assert_allclose(weights, expected, atol=1e-6)  # matrix products have other numbers of rows
        assert worker_steps == steps
        assert snapshot is not None
    assert not multiprocessing.active_children()


def test_auto_takes_two_workers_where_there_are_processors() -> None:
    """`auto` takes two workers for two processors and environments, and none on one processor."""
    allowed = os.sched_getaffinity(0)
    two, alone = configuration("a2c", "auto"), configuration("a2c", "auto").model_copy(update={"n_envs": 1})
    assert workers_of(two) == (2 if usable_cpus() > 1 else 0)
    assert workers_of(alone) == 0
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert workers_of(two) == 0
    finally:
        os.sched_setaffinity(0, allowed)


def test_a_snapshot_goes_on() -> None:
    """Restored workers collect the same as the original ones."""
    config = configuration("a2c", 2)
    first, second = (start(config, inspect(config)) for _ in range(2))
    policy = first.acting.policy(None)
    first.collector.collect(policy)
    saved = first.collector.snapshot()
    assert saved is not None
    second.collector.restore(saved)
    ours, theirs = (loop.collector.collect(policy) for loop in (first, second))
    np.testing.assert_array_equal(ours.observations, theirs.observations)
    np.testing.assert_array_equal(ours.actions, theirs.actions)
    for loop in (first, second):
        loop.collector.close()


def test_a_worker_needs_no_memory_that_it_may_write() -> None:
    """Ray gives its actors their arguments in read-only memory."""
    config = configuration("a2c", 1)
    info = inspect(config)
    specs = network_specs(config, info.encoder.layout, info.codec.distribution)
    worker = shares_of(config, specs.actor)[0].worker()
    worker.reset(0)
    mean, deviation = np.zeros(6, np.float32), np.ones(6, np.float32)
    noise = np.random.default_rng(0).random((40, 4))
    parameters = np.zeros(specs.actor.size, np.float32)
    for array in (mean, deviation, noise, parameters):
        array.flags.writeable = False
    rollout = worker.collect(Order(parameters, ObservationScaling(mean, deviation), noise))
    assert rollout.actions.shape == (40, 4)
    worker.close()


def test_workers_leave_signals_to_the_learner() -> None:
    """SIGTERM, as to a whole process group, does not end a worker. Its owner's close does."""
    config = configuration("a2c", 2)
    loop = start(config, inspect(config))
    for process in multiprocessing.active_children():
        process.terminate()
    next(iter(loop.run()))
    loop.collector.close()
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_is_an_error() -> None:
    """A killed worker ends the run with an error, instead of an endless wait."""
    config = configuration("a2c", 2)
    loop = start(config, inspect(config))
    multiprocessing.active_children()[0].kill()
    with pytest.raises(EnvironmentFailed, match="worker was ended by SIGKILL"):
        list(loop.run())
    loop.collector.close()
    assert not multiprocessing.active_children()


def test_a_worker_that_stands_still_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that a signal has stopped ends the run with an error that says so."""
    monkeypatch.setattr(pulse, "MARGIN", 1.0)
    monkeypatch.setattr(pulse, "PATIENCE", {})
    config = configuration("a2c", 1).model_copy(update={"step_timeout": 2.0})
    loop = start(config, inspect(config))
    os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGSTOP)
    with pytest.raises(EnvironmentHangs, match=r"a rollout worker was stopped by a signal \(SIGSTOP\)"):
        list(loop.run())
    loop.collector.close()
    assert not multiprocessing.active_children()
