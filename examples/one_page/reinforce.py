"""REINFORCE on one page: learn CartPole from whole episodes, in plain PyTorch with autograd.

    python -m examples.one_page.reinforce

The policy gradient theorem says which way to move the weights theta so that returns grow:

    grad J = E[ R * sum over t of grad log pi(a_t | s_t) ]

so each episode gives one update with

    loss = -R * sum over t of log pi(a_t | s_t),    R = sum over t of gamma^(t+1) * r_t

The trainer's preset `course` computes the same losses and updates; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical


class PolicyNetwork(nn.Module):
    """Maps observations [batch, size] to the probabilities of the actions [batch, actions]."""

    def __init__(self, size: int, actions: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(size, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, actions)
        )

    def forward(self, observations: Tensor) -> Tensor:
        """A softmax over the actions."""
        return torch.softmax(self.layers(observations), dim=-1)


@dataclass(frozen=True)
class Episode:
    """The record of one episode of T steps."""

    observations: Tensor  # [T, size]: s_0 to s_{T-1}
    actions: Tensor  # [T]: a_0 to a_{T-1}
    rewards: list[float]  # T numbers: r_t is the reward for a_t


def play(environment: gymnasium.Env, policy: PolicyNetwork, seed: int | None = None) -> Episode:
    """Plays one episode. Each action is drawn from the policy's probabilities."""
    observation, _ = environment.reset(seed=seed)
    observations, actions, rewards, done = [], [], [], False
    while not done:
        state = torch.as_tensor(np.asarray(observation))
        with torch.no_grad():  # playing needs no gradient; `episode_loss` computes the same states again
            action = Categorical(policy(state)).sample()
        observation, reward, terminated, truncated, _ = environment.step(int(action))
        observations.append(state)
        actions.append(action)
        rewards.append(float(reward))
        done = terminated or truncated  # as in the course: a time limit counts as an end
    return Episode(torch.stack(observations), torch.stack(actions), rewards)


def discounted_return(rewards: list[float], gamma: float) -> float:
    """R = gamma * r_0 + gamma^2 * r_1 + ... The course counts steps from 1."""
    return sum(gamma ** (t + 1) * reward for t, reward in enumerate(rewards))


def episode_loss(policy: PolicyNetwork, episode: Episode, gamma: float) -> Tensor:
    """-R * sum over t of log pi(a_t | s_t): actions of good episodes become more probable."""
    log_probs = Categorical(policy(episode.observations)).log_prob(episode.actions)  # [T]
    loss: Tensor = -discounted_return(episode.rewards, gamma) * log_probs.sum()
    return loss


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of gradient descent."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def train(episodes: int, *, gamma: float = 0.99, learning_rate: float = 1e-3, seed: int = 0) -> list[float]:
    """Learns CartPole-v1. Returns the undiscounted return of each episode."""
    torch.manual_seed(seed)
    environment = gymnasium.make("CartPole-v1")
    policy = PolicyNetwork(4, 2)
    optimizer = torch.optim.Adam(policy.parameters(), lr=learning_rate)
    returns = []
    for number in range(episodes):
        episode = play(environment, policy, seed if number == 0 else None)
        update(optimizer, episode_loss(policy, episode, gamma))
        returns.append(sum(episode.rewards))
        if (number + 1) % 50 == 0:
            print(f"episode {number + 1}: mean return of the last 50: {sum(returns[-50:]) / 50:.1f}")
    environment.close()
    return returns


if __name__ == "__main__":
    train(300)
