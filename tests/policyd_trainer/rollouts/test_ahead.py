"""Workers that collect ahead: one rollout behind the learner, and nothing else differs."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest

from policyd.errors import InvalidArgument
from policyd_trainer.algorithms.build import network_specs
from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.environments.make import inspect
from policyd_trainer.networks.host import host_outputs
from policyd_trainer.rollouts.buffer import Rollout
from policyd_trainer.rollouts.policy import ActingPolicy
from policyd_trainer.rollouts.worker import log_probs_of

SETTINGS = {
    "preset": "default",
    "n_envs": "4",
    "n_steps": "30",
    "total_timesteps": "600",
    "learning_rate": "0.01",
    "max_episode_steps": "20",
}


def configuration(**settings: str) -> TrainingConfig:
    chosen = {**SETTINGS, "collect_ahead": "true", "rollout_workers": "2", **settings}
    return resolve_config("p", "Acrobot-v1", "a2c", 0, chosen)


def started(**settings: str) -> TrainingLoop:
    config = configuration(**settings)
    return start(config, inspect(config))


def log_probs(loop: TrainingLoop, parameters: np.ndarray, rollout: Rollout) -> np.ndarray:
    """The log-probabilities [T, N] of a rollout's actions, for a policy with these parameters."""
    info = inspect(loop.config)
    spec = network_specs(loop.config, info.encoder.layout, info.codec.distribution).actor
    return log_probs_of(ActingPolicy(host_outputs(spec, parameters), info.codec.distribution), rollout)


def test_each_rollout_is_by_the_policy_of_one_rollout_before() -> None:
    """The first two are by the initial policy, the third by the one after the first update."""
    loop = started(normalize_observations="false")
    policies, rollouts = [loop.acting.parameters.copy()], []
    for rollout in loop.run():
        rollouts.append(rollout)
        policies.append(loop.acting.parameters.copy())
    assert len(rollouts) == 5
    assert not np.array_equal(policies[0], policies[1])
    for number, rollout in enumerate(rollouts):
        behind = policies[max(0, number - 1)]
        assert rollout.log_probs is not None
        np.testing.assert_allclose(rollout.log_probs, log_probs(loop, behind, rollout), atol=1e-5)
    loop.close()
    assert not multiprocessing.active_children()


def test_a_checkpoint_goes_on_exactly() -> None:
    """The state has the rollout collected ahead: an interrupted run gives the same weights."""
    whole = started()
    for _ in whole.run():
        pass
    first, second = started(), started()
    for _ in range(2):
        next(iter(first.run()))
    second.restore(pickle.loads(pickle.dumps(first.state())))
    for _ in second.run():
        pass
    np.testing.assert_array_equal(second.acting.parameters, whole.acting.parameters)
    for loop in (whole, first, second):
        loop.close()


def test_a_worker_that_dies_is_an_error() -> None:
    """A killed worker ends the run, whether it was collecting or waiting."""
    loop = started()
    next(iter(loop.run()))
    multiprocessing.active_children()[0].kill()
    with pytest.raises(EnvironmentFailed, match="worker was ended by SIGKILL"):
        list(loop.run())
    loop.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rollout_workers": "0"}, "needs rollout_workers"),
        ({"critic_gradient": "full", "gae_lambda": "0"}, "with critic_gradient `semi` only"),
    ],
)
def test_what_cannot_be_ahead(settings: dict[str, str], message: str) -> None:
    """Settings without workers, or without a correction, are refused by name."""
    with pytest.raises(InvalidArgument, match=message):
        configuration(**settings)
