"""The course's form against the course's own loops: same weights, same transitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from policyd_trainer.algorithms.acting import ActingCopy
from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.build import build_learner, network_specs
from policyd_trainer.algorithms.gradients import actor_gradient, actor_loss, critic_gradient, critic_loss
from policyd_trainer.algorithms.learner import Learner
from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.algorithms.prepare import make_batch
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.make import inspect
from policyd_trainer.rollouts.buffer import Rollout
from policyd_trainer.rollouts.make import make_local
from tests.policyd_trainer.flat import load_flat

TOLERANCE = 1e-6


class PolicyNetwork(nn.Module):
    """The course's policy network."""

    def __init__(self, state_size: int, action_size: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(state_size, 64)
        self.fc2 = nn.Linear(64, 64)
        self.fc3 = nn.Linear(64, action_size)

    def forward(self, state: np.ndarray) -> Tensor:
        """Computes one state, as the course writes it."""
        x = torch.relu(self.fc1(torch.tensor(state)))
        x = torch.relu(self.fc2(x))
        return torch.softmax(self.fc3(x), dim=-1)


class Critic(nn.Module):
    """The course's critic."""

    def __init__(self, state_size: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(state_size, 64)
        self.fc2 = nn.Linear(64, 1)

    def forward(self, state: np.ndarray) -> Tensor:
        """Computes one state, as the course writes it."""
        x = torch.relu(self.fc1(torch.tensor(state)))
        value: Tensor = self.fc2(x)
        return value


@dataclass(frozen=True)
class Transition:
    """What env.step returned in the course's loop, and the sampled action."""

    state: np.ndarray
    action: int
    reward: float
    next_state: np.ndarray
    terminated: bool
    truncated: bool


@dataclass(frozen=True)
class Update:
    """The results of one of our updates."""

    transitions: list[Transition]
    actor_loss: float
    actor_gradient: np.ndarray
    critic_loss: float
    critic_gradient: np.ndarray | None
    actor: np.ndarray
    critic: np.ndarray | None


def course_learner(config: TrainingConfig) -> tuple[TrainingLoop, Learner]:
    """The learner of a run, in double precision."""
    info = inspect(config)
    specs = network_specs(config, info.encoder.size, info.codec.distribution)
    learner = build_learner(config, specs, info.codec.distribution, "cpu", np.float64)
    collector = make_local(config, info, 1)
    collector.reset(config.seed)
    acting = ActingCopy(learner, specs.actor, 0.0)
    return TrainingLoop(config, specs, learner, acting, collector), learner


def ours(config: TrainingConfig, loop: TrainingLoop, learner: Learner, updates: int) -> Iterator[Update]:
    """Our updates, with losses and gradients from the functions that the update uses."""
    for _ in range(updates):
        rollout = loop.collector.collect(loop.acting.policy(None))
        batch = make_batch(config, learner, rollout, rollout.rewards, None)
        losses, gradients = losses_of(config, learner, batch), gradients_of(config, learner, batch)
        learner.update(batch, loop.rates(), loop.rng)
        critic = None if learner.critic is None else learner.critic.parameters.copy()
        yield Update(
            transitions_of(rollout),
            losses[0],
            gradients[0],
            losses[1],
            gradients[1],
            learner.actor.parameters.copy(),
            critic,
        )


def losses_of(config: TrainingConfig, learner: Learner, batch: Batch) -> tuple[float, float]:
    actor = float(actor_loss(np, learner.distribution, learner.actor, batch, 0.0))
    return actor, 0.0 if learner.critic is None else float(critic_loss(np, config, learner.critic, batch))


def gradients_of(
    config: TrainingConfig, learner: Learner, batch: Batch
) -> tuple[np.ndarray, np.ndarray | None]:
    actor = actor_gradient(np, learner.distribution, learner.actor, batch, 0.0).copy()
    critic = learner.critic
    return actor, None if critic is None else critic_gradient(np, config, critic, batch).copy()


def transitions_of(rollout: Rollout) -> list[Transition]:
    finals = {
        int(t): row for (t, _), row in zip(rollout.final_index, rollout.final_observations, strict=True)
    }
    return [
        Transition(
            rollout.observations[t, 0].astype(np.float64),
            int(rollout.actions[t, 0]),
            float(rollout.rewards[t, 0]),
            finals.get(t, rollout.observations[t + 1, 0]).astype(np.float64),
            bool(rollout.terminated[t, 0]),
            bool(rollout.truncated[t, 0]),
        )
        for t in range(len(rollout.rewards))
    ]


def select_action(policy_network: nn.Module, state: np.ndarray, action: int) -> Tensor:
    """The course's select_action, with the sampled action given."""
    action_dist = torch.distributions.Categorical(policy_network(state))
    log_prob: Tensor = action_dist.log_prob(torch.tensor(action))
    return log_prob.reshape(1)


def flat(tensors: Iterator[Tensor | None]) -> np.ndarray:
    return torch.cat([t.detach().reshape(-1) for t in tensors if t is not None]).numpy()


def assert_same(module: nn.Module, loss: Tensor, our_loss: float, our_gradient: np.ndarray | None) -> None:
    assert our_gradient is not None
    np.testing.assert_allclose(our_loss, loss.item(), atol=TOLERANCE, rtol=TOLERANCE)
    gradient = flat(p.grad for p in module.parameters())
    np.testing.assert_allclose(our_gradient, gradient, atol=TOLERANCE, rtol=TOLERANCE)


def test_reinforce() -> None:
    """Losses, gradients and weights of 8 episodes agree to 1e-6 with the course's loop.

    The course's loss is `loss = -R * log_probs.sum()`.
    """
    config = resolve_config("p", "CartPole-v1", "reinforce", 3, {"preset": "course"})
    loop, learner = course_learner(config)
    policy_network = PolicyNetwork(4, 2).double()
    load_flat(policy_network, learner.actor.parameters)
    optimizer = torch.optim.Adam(policy_network.parameters(), lr=config.learning_rate)
    gamma = config.gamma
    for update in ours(config, loop, learner, 8):
        transitions, done, step = iter(update.transitions), False, 0
        episode_log_probs = torch.tensor([], dtype=torch.float64)
        R = 0.0  # noqa: N806  the course's name
        while not done:
            step += 1
            transition = next(transitions)
            log_prob = select_action(policy_network, transition.state, transition.action)
            done = transition.terminated or transition.truncated
            R += (gamma**step) * transition.reward  # noqa: N806  the course's name
            episode_log_probs = torch.cat((episode_log_probs, log_prob))
        assert next(transitions, None) is None
        loss = -R * episode_log_probs.sum()
        optimizer.zero_grad()
        loss.backward()
        assert_same(policy_network, loss, update.actor_loss, update.actor_gradient)
        optimizer.step()
        np.testing.assert_allclose(update.actor, flat(policy_network.parameters()), atol=TOLERANCE)


def calculate_losses(
    critic_network: nn.Module, action_log_prob: Tensor, transition: Transition, done: bool, gamma: float
) -> tuple[Tensor, Tensor]:
    """The course's calculate_losses, which does not detach the TD target."""
    value = critic_network(transition.state)
    next_value = critic_network(transition.next_state)
    td_target = transition.reward + gamma * next_value * (1 - done)
    td_error = td_target - value
    return -action_log_prob * td_error.detach(), td_error**2


@pytest.mark.parametrize("time_limit", [500, 7])
def test_a2c(time_limit: int) -> None:
    """Losses, gradients and weights of 60 steps agree to 1e-6 with the course's loop.

    The steps include terminations and time limits.
    """
    settings = {"preset": "course", "max_episode_steps": str(time_limit)}
    config = resolve_config("p", "CartPole-v1", "a2c", 3, settings)
    loop, learner = course_learner(config)
    assert learner.critic is not None
    actor, critic = PolicyNetwork(4, 2).double(), Critic(4).double()
    load_flat(actor, learner.actor.parameters)
    load_flat(critic, learner.critic.parameters)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=config.learning_rate)
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=config.learning_rate)
    ends = 0
    for update in ours(config, loop, learner, 60):
        (transition,) = update.transitions
        action_log_prob = select_action(actor, transition.state, transition.action)
        done = transition.terminated or transition.truncated
        ends += done
        actor_loss_, critic_loss_ = calculate_losses(critic, action_log_prob, transition, done, config.gamma)
        actor_optimizer.zero_grad()
        actor_loss_.backward()
        assert_same(actor, actor_loss_, update.actor_loss, update.actor_gradient)
        actor_optimizer.step()
        critic_optimizer.zero_grad()
        critic_loss_.backward()
        assert_same(critic, critic_loss_, update.critic_loss, update.critic_gradient)
        critic_optimizer.step()
        np.testing.assert_allclose(update.actor, flat(actor.parameters()), atol=TOLERANCE)
        assert update.critic is not None
        np.testing.assert_allclose(update.critic, flat(critic.parameters()), atol=TOLERANCE)
    assert ends > 0
