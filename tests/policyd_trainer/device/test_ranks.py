"""Several processes learn what one learns with the whole batch."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
import torch

from policyd.errors import PolicydError
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.device.loop import DeviceLoop
from policyd_trainer.device.ranks import RankedLoop
from policyd_trainer.device.tasks import task_of
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
