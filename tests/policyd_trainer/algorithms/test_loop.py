"""What changes along a run, what is clipped, what is averaged, and how a run that diverges ends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from policyd_trainer.algorithms.learner import Diverged
from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.make import inspect


def loop_of(**settings: str) -> TrainingLoop:
    base = {"preset": "default", "n_envs": "4", "n_steps": "8", "total_timesteps": "640"}
    config = resolve_config("p", "CartPole-v1", "a2c", 0, {**base, **settings})
    return start(config, inspect(config))


def test_schedules_follow_the_steps() -> None:
    """Learning rates and entropy weight change linearly from their first to their last value."""
    loop = loop_of(
        learning_rate="0.1",
        critic_learning_rate="0.2",
        lr_final_fraction="0.5",
        ent_coef="0.04",
        ent_coef_final="0.02",
    )
    for _ in itertools.islice(loop.run(), 10):
        pass
    assert 0.4 < loop.progress <= 0.5  # steps of the vector environment that only reset do not count
    rates, done = loop.rates(), loop.progress
    assert rates.learning_rate == pytest.approx(0.1 * (1 - 0.5 * done))
    assert rates.critic_learning_rate == pytest.approx(0.2 * (1 - 0.5 * done))
    assert rates.ent_coef == pytest.approx(0.04 - 0.02 * done)


def test_actor_and_critic_are_clipped_apart() -> None:
    """With plain SGD the length of a step is the rate times each network's own limit."""
    loop = loop_of(
        optimizer="sgd",
        learning_rate="1.0",
        lr_schedule="constant",
        max_grad_norm="1e-3",
        critic_max_grad_norm="1e-2",
    )
    critic = loop.learner.critic
    assert critic is not None
    before = [np.array(network.parameters) for network in (loop.learner.actor, critic)]
    next(iter(loop.run()))
    lengths = [
        np.linalg.norm(network.parameters - old)
        for network, old in zip((loop.learner.actor, critic), before, strict=True)
    ]
    np.testing.assert_allclose(lengths, [1e-3, 1e-2], rtol=1e-2)


def test_the_critic_may_have_minibatches_of_its_own() -> None:
    """A rollout of 32 steps is one step of the actor and four steps of the critic.

    The critic takes 8 rows at a time.
    """
    loop = loop_of(minibatch_size="null", critic_minibatch_size="8")
    next(iter(loop.run()))
    critic_optimizer = loop.learner.critic_optimizer
    assert critic_optimizer is not None
    assert (loop.learner.actor_optimizer.steps, critic_optimizer.steps, loop.learner.updates) == (1, 4, 1)


def test_exported_weights_are_the_average() -> None:
    """With ema_decay d the weights are sum_k d^(n-k) w_k / sum_k d^(n-k).

    Here w_k are the weights after rollout k.
    """
    loop, decay = loop_of(ema_decay="0.8"), 0.8
    seen = [loop.acting.parameters.astype(np.float64) for _ in loop.run()]
    weights = decay ** np.arange(len(seen))[::-1]
    expected = (weights[:, None] * np.array(seen)).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(loop.acting.export_parameters(), expected, atol=1e-6)


def test_divergence_keeps_the_last_finite_weights() -> None:
    """A gradient that is not finite ends the run before its step is taken."""
    loop = loop_of(optimizer="sgd", learning_rate="1e25", max_grad_norm="null")
    with pytest.raises(Diverged, match="norm"):
        list(loop.run())
    assert np.isfinite(loop.acting.parameters).all()


def test_time_limits_bootstrap_only_where_they_should() -> None:
    """`bootstrap` learns from the value after a time limit. `terminate` (the course) does not."""
    targets = {}
    for truncation in ("bootstrap", "terminate"):
        loop = loop_of(truncation=truncation, max_episode_steps="3", n_envs="2", n_steps="6", gae_lambda="0")
        next(iter(loop.run()))
        assert loop.batch is not None
        assert loop.batch.value_targets is not None
        targets[truncation] = loop.batch.value_targets
    differing = np.flatnonzero(targets["bootstrap"] != targets["terminate"])
    assert len(targets["bootstrap"]) > len(differing) > 0
