"""Advantage actor-critic (A2C) on one page: learn CartPole step by step, in plain PyTorch.

    python -m examples.one_page.a2c

REINFORCE waits for the end of an episode. A critic V(s) lets the actor learn after each step: it
says how much better the step went than expected. That is the temporal-difference (TD) error, the
advantage:

    td_target = r_t + gamma * V(s_{t+1})    (without V(s_{t+1}) if the episode ended)
    td_error  = td_target - V(s_t)

    actor loss  = -log pi(a_t | s_t) * td_error     (td_error is a constant here)
    critic loss = td_error^2

The trainer's preset `course` computes the same losses and updates; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from examples.one_page.reinforce import PolicyNetwork, update


class Critic(nn.Module):
    """Maps observations [..., size] to V(s) [..., 1], the return that is expected from s on."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(size, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, observations: Tensor) -> Tensor:
        """One number per observation."""
        values: Tensor = self.layers(observations)
        return values


@dataclass(frozen=True)
class Transition:
    """One step: the action taken in `state` gave `reward` and led to `next_state`."""

    state: Tensor  # [size]
    action: Tensor  # []
    reward: float
    next_state: Tensor  # [size]
    done: bool  # the episode ended; as in the course, a time limit counts as an end


def losses(actor: PolicyNetwork, critic: Critic, step: Transition, gamma: float) -> tuple[Tensor, Tensor]:
    """The actor's and the critic's loss for one step, each [1]."""
    value = critic(step.state)
    td_target = step.reward + gamma * critic(step.next_state) * (1 - step.done)
    td_error = td_target - value
    log_prob = Categorical(actor(step.state)).log_prob(step.action)
    # detach: the actor's gradient must not reach the critic. The critic's own gradient also flows
    # through the target, as in the course; most libraries stop it there.
    return -log_prob * td_error.detach(), td_error**2


def train(episodes: int, *, gamma: float = 0.99, learning_rate: float = 1e-3, seed: int = 0) -> list[float]:
    """Learns CartPole-v1. Returns the undiscounted return of each episode."""
    torch.manual_seed(seed)
    environment = gymnasium.make("CartPole-v1")
    actor, critic = PolicyNetwork(4, 2), Critic(4)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=learning_rate)
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=learning_rate)
    returns = []
    for number in range(episodes):
        observation, _ = environment.reset(seed=seed if number == 0 else None)
        state, total, done = torch.as_tensor(np.asarray(observation)), 0.0, False
        while not done:
            with torch.no_grad():
                action = Categorical(actor(state)).sample()
            observation, reward, terminated, truncated, _ = environment.step(int(action))
            next_state, done = torch.as_tensor(np.asarray(observation)), terminated or truncated
            step = Transition(state, action, float(reward), next_state, done)
            actor_loss, critic_loss = losses(actor, critic, step, gamma)
            update(actor_optimizer, actor_loss)
            update(critic_optimizer, critic_loss)
            state, total = next_state, total + float(reward)
        returns.append(total)
        if (number + 1) % 10 == 0:
            print(f"episode {number + 1}: mean return of the last 10: {sum(returns[-10:]) / 10:.1f}")
    environment.close()
    return returns


if __name__ == "__main__":
    train(150)
