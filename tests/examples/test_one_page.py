"""The algorithms on one page against the trainer: same weights and transitions, same updates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from examples.one_page import a2c, reinforce
from policyd_trainer.config import resolve_config
from tests.policyd_trainer.algorithms import test_course as engine
from tests.policyd_trainer.flat import load_flat

Train = Callable[..., list[float]]


def assert_same_weights(module: nn.Module, weights: np.ndarray | None) -> None:
    assert weights is not None
    np.testing.assert_allclose(
        weights, engine.flat(parameter for parameter in module.parameters()), atol=engine.TOLERANCE
    )


def test_reinforce_is_the_trainers() -> None:
    """Losses, gradients and weights of 8 episodes agree to 1e-6 with the preset `course`."""
    config = resolve_config("p", "CartPole-v1", "reinforce", 3, {"preset": "course"})
    loop, learner = engine.course_learner(config)
    policy = reinforce.PolicyNetwork(4, 2).double()
    load_flat(policy, learner.actor.parameters)
    optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate)
    for update in engine.ours(config, loop, learner, 8):
        episode = reinforce.Episode(
            torch.tensor(np.array([step.state for step in update.transitions])),
            torch.tensor([step.action for step in update.transitions]),
            [step.reward for step in update.transitions],
        )
        loss = reinforce.episode_loss(policy, episode, config.gamma)
        reinforce.update(optimizer, loss)
        engine.assert_same(policy, loss, update.actor_loss, update.actor_gradient)
        assert_same_weights(policy, update.actor)


@pytest.mark.parametrize("time_limit", [500, 7])
def test_a2c_is_the_trainers(time_limit: int) -> None:
    """Losses, gradients and weights of 60 steps agree to 1e-6, also over ends and time limits."""
    settings = {"preset": "course", "max_episode_steps": str(time_limit)}
    config = resolve_config("p", "CartPole-v1", "a2c", 3, settings)
    loop, learner = engine.course_learner(config)
    assert learner.critic is not None
    actor, critic = reinforce.PolicyNetwork(4, 2).double(), a2c.Critic(4).double()
    load_flat(actor, learner.actor.parameters)
    load_flat(critic, learner.critic.parameters)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=config.learning_rate)
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=config.learning_rate)
    ends = 0
    for update in engine.ours(config, loop, learner, 60):
        (seen,) = update.transitions
        state, next_state = torch.tensor(seen.state), torch.tensor(seen.next_state)
        done = seen.terminated or seen.truncated
        ends += done
        step = a2c.Transition(state, torch.tensor(seen.action), seen.reward, next_state, done)
        actor_loss, critic_loss = a2c.losses(actor, critic, step, config.gamma)
        reinforce.update(actor_optimizer, actor_loss)
        reinforce.update(critic_optimizer, critic_loss)
        engine.assert_same(actor, actor_loss, update.actor_loss, update.actor_gradient)
        engine.assert_same(critic, critic_loss, update.critic_loss, update.critic_gradient)
        assert_same_weights(actor, update.actor)
        assert_same_weights(critic, update.critic)
    assert ends > 0


@pytest.mark.parametrize(("train", "episodes"), [(reinforce.train, 50), (a2c.train, 10)])
def test_it_runs_as_a_student_starts_it(
    train: Train, episodes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A short run gives each episode's return and prints the mean. The same seed repeats it."""
    returns = train(episodes, seed=1)
    assert len(returns) == episodes
    assert all(1 <= value <= 500 for value in returns)
    assert f"episode {episodes}: mean return" in capsys.readouterr().out
    assert train(episodes, seed=1) == returns


def test_reinforce_learns() -> None:
    """After 200 episodes of seed 0 the return is well above that of random play (about 22)."""
    returns = reinforce.train(200)
    assert np.mean(returns[-50:]) > 1.5 * np.mean(returns[:50])
