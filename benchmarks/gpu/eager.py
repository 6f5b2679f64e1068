"""A plain A2C loop in eager torch, as tutorials write it: the yardstick of the benchmark.

The same environment, network, batch and optimiser as ours; a module, torch.distributions,
torch.optim, and one Python statement after another.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu.tasks import LIMITS, Task
from policyd_trainer.device.forms import FormEnvironments
from policyd_trainer.environments.forms.cartpole import CartPole


class EagerLoop:
    """CartPole with the task's settings, as an ordinary PyTorch program."""

    def __init__(self, task: Task, device: torch.device) -> None:
        config = self._config = task.config
        form: Any = CartPole(torch)
        self._envs = FormEnvironments(form, config.n_envs, device, time_limit=LIMITS["CartPole-v1"])
        self._actor, self._critic = _mlp(4, 2).to(device), _mlp(4, 1).to(device)
        parameters = [*self._actor.parameters(), *self._critic.parameters()]
        self._optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, eps=config.optimizer_eps)
        self._parameters, self._device = parameters, device
        self._observations, _ = self._envs.reset(seed=0)

    def advance(self) -> None:
        """Does one rollout and its update."""
        observations, actions, advantages, targets = self._collect()
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        size = self._config.minibatch_size or len(advantages)
        order = torch.randperm(len(advantages), device=self._device)
        for part in order.split(size):
            distribution = torch.distributions.Categorical(logits=self._actor(observations[part]))
            policy_loss = -(advantages[part] * distribution.log_prob(actions[part])).mean()
            value_loss = (self._critic(observations[part])[:, 0] - targets[part]).square().mean()
            self._optimizer.zero_grad()
            (policy_loss + self._config.vf_coef * value_loss).backward()
            nn.utils.clip_grad_norm_(self._parameters, self._config.max_grad_norm or 0.5)
            self._optimizer.step()

    @torch.no_grad()
    def _collect(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        config, steps = self._config, []
        for _ in range(config.n_steps):
            before = self._observations
            actions = torch.distributions.Categorical(logits=self._actor(before)).sample()
            self._observations, rewards, terminated, truncated, infos = self._envs.step(actions)
            steps.append((before, actions, rewards, terminated, truncated, infos["final_obs"]))
        observations, actions, rewards, terminated, truncated, successors = map(
            torch.stack, zip(*steps, strict=True)
        )
        values = self._critic(observations)[..., 0]
        following = self._critic(successors)[..., 0] * ~terminated
        deltas = rewards + config.gamma * following - values
        advantages, last = torch.zeros_like(deltas), torch.zeros_like(deltas[0])
        for t in reversed(range(config.n_steps)):
            carry = config.gamma * config.gae_lambda * ~(terminated[t] | truncated[t])
            last = advantages[t] = deltas[t] + carry * last
        flat = (observations, actions, advantages, advantages + values)
        first, second, third, fourth = (each.flatten(0, 1) for each in flat)
        return first, second, third, fourth


def _mlp(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs)
    )
