"""Several processes learn what one learns with the whole batch."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import signal
import threading
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from policyd.errors import PolicydError
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.device import ranks
from policyd_trainer.device.loop import DeviceLoop
from policyd_trainer.device.ranks import RankedLoop
from policyd_trainer.device.tasks import task_of
from policyd_trainer.environments.errors import EnvironmentHangs
from policyd_trainer.environments.make import inspect

CPU = torch.device("cpu")


def configuration(**settings: str) -> TrainingConfig:
    base = {"n_envs": "8", "n_steps": "8", "minibatch_size": "16", "n_epochs": "2", "max_episode_steps": "30"}
    return resolve_config("p", "CartPole-v1", "a2c", 0, {**base, **settings})


def weights(loop: DeviceLoop) -> np.ndarray:
    return loop.program.learner.parameters.numpy().copy()


def advance(loop: DeviceLoop, rollouts: int) -> None:
    for _ in range(rollouts):
        loop.advance(loop.rates())


@pytest.fixture(scope="module")
def pair() -> object:
    """Two processes with half of the environments each, in float64 so that order has no effect."""
    config = configuration(devices="2")
    loop = RankedLoop(config, inspect(config), "cpu", torch.float64)
    yield loop
    loop.close()


def test_two_processes_learn_what_one_learns(pair: RankedLoop) -> None:
    """After six rollouts of eight minibatches the weights differ by less than 1e-6.

    A state that was taken at the third rollout gives the same weights again: checkpoints hold both.
    """
    config = configuration()
    alone = DeviceLoop(config, task_of(config, inspect(config)), CPU, dtype=torch.float64)
    advance(alone, 3)
    advance(pair, 3)
    saved = pair.state()
    np.testing.assert_allclose(weights(pair), weights(alone), atol=1e-6)
    advance(alone, 3)
    advance(pair, 3)
    after = weights(pair)
    np.testing.assert_allclose(after, weights(alone), atol=1e-6)
    assert pair.episodes.episodes == alone.episodes.episodes > 0
    assert pair.episodes.mean_return == pytest.approx(alone.episodes.mean_return)
    pair.restore(saved)
    advance(pair, 3)
    np.testing.assert_array_equal(weights(pair), after)


def test_an_other_process_that_fails_is_reported() -> None:
    """An error while the other process is made is raised here, without a wait.

    The other process has ended then, so nothing of it is in the way of a later loop.
    """
    before = multiprocessing.active_children()
    config = configuration(devices="2")
    wrong = config.model_copy(update={"env_id": "NoSuchEnvironment-v0"})
    with pytest.raises(PolicydError, match="NoSuchEnvironment"):
        RankedLoop(wrong, inspect(config), "cpu")
    assert multiprocessing.active_children() == before


class Sticking(gym.Wrapper):
    """An environment whose reset never comes back, except in the process of the test."""

    def reset(self, **options: Any) -> Any:
        """Waits for ever."""
        if multiprocessing.parent_process() is not None:
            threading.Event().wait()
        return self.env.reset(**options)


gym.register("Sticking-v0", lambda **_: Sticking(gym.make("CartPole-v1")))


def test_an_environment_that_hangs_in_another_process_is_reported() -> None:
    """Each process watches its own calls into the environment."""
    config = configuration(devices="2", step_timeout="1")
    hanging = config.model_copy(update={"env_id": f"{__name__}:Sticking-v0"})
    with pytest.raises(EnvironmentHangs, match="Sticking"):
        RankedLoop(hanging, inspect(config), "cpu")


def test_a_process_that_hangs_in_a_sum_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum that breaks off while another process stands still is a failure, no endless wait."""
    monkeypatch.setattr(ranks, "PATIENCE", datetime.timedelta(seconds=5))
    before = multiprocessing.active_children()
    config = configuration(devices="2")
    loop = RankedLoop(config, inspect(config), "cpu")
    [child] = set(multiprocessing.active_children()) - set(before)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    try:
        with pytest.raises(PolicydError, match="beside this one"):
            loop.advance(loop.rates())
    finally:
        loop.close()
    assert multiprocessing.active_children() == before
