"""One rollout and its update, tensors of fixed shape from end to end.

Nothing here waits for the device or asks it for a number, so the whole of it can be recorded once
and replayed as a CUDA graph. All state is in tensors that are changed in place.
"""

from __future__ import annotations

import torch
from torch import Tensor

from policyd_trainer.config import TrainingConfig
from policyd_trainer.device.batches import DeviceBatch, Division
from policyd_trainer.device.episodes import DeviceEpisodes
from policyd_trainer.device.group import Group
from policyd_trainer.device.interface import DeviceStep
from policyd_trainer.device.learner import DeviceLearner
from policyd_trainer.device.sampling import noise, sample
from policyd_trainer.device.scaling import DeviceMoments, DeviceRewardScaler, Scaling
from policyd_trainer.device.storage import Storage
from policyd_trainer.device.streams import Streams
from policyd_trainer.device.task import DeviceTask, Placement
from policyd_trainer.estimators.advantages import gae, td_errors


class Program:
    """A rollout of S members with N environments each, and the update from it."""

    def __init__(
        self,
        config: TrainingConfig,
        task: DeviceTask,
        parameters: Tensor,
        group: Group | None = None,
    ) -> None:
        """`parameters` [S, P] are the first weights.

        Their device and type are those of all computing.

        Raises:
            InvalidArgument: the rollout's steps cannot be dealt evenly.
        """
        self.config, self.task, self.group = config, task, group or Group()
        device, dtype, members = parameters.device, parameters.dtype, len(parameters)
        n_envs = config.n_envs // self.group.size
        first = n_envs * self.group.rank
        seeds = [config.seed + member for member in range(members)]
        self.streams = Streams(seeds, n_envs, device, first)
        self._divisions = divisions(config, self.group.size)
        self.learner = DeviceLearner(config, task.specs, task.distribution, parameters, self.group)
        self.storage = Storage(task, config.n_steps, members, n_envs, device)
        self.episodes = DeviceEpisodes(members, n_envs, device)
        groups = task.specs.actor.layout.groups()
        self.moments = (
            DeviceMoments(members, groups, device, dtype) if config.normalize_observations else None
        )
        self.rewards = (
            DeviceRewardScaler(members, n_envs, config.gamma, device, dtype)
            if config.normalize_rewards
            else None
        )
        self.average = torch.zeros(self.learner.parts[0].shape, dtype=torch.float64, device=device)
        self.stepper = task.make(Placement(device, self.streams, members, n_envs, first, config.seed))
        self.observations = torch.empty(
            members * n_envs, task.row_size, dtype=task.torch_row_dtype, device=device
        )
        self.batch: DeviceBatch | None = None  # the last one
        self.batch_scaling: Scaling | None = None  # how its observations were scaled

    def reset(self, rollouts: int = 0) -> None:
        """Starts an episode in each environment, after so many rollouts. Drops those that ran."""
        self.observations.copy_(self.stepper.reset(rollouts))
        self.episodes.running.zero_()
        if self.rewards is not None:
            self.rewards.discounted.zero_()

    def iterate(self) -> None:
        """Does one rollout and its update."""
        self.collect()
        self.learn()

    @torch.no_grad()
    def collect(self) -> None:
        """Acts for one rollout and fills the storage."""
        config, storage = self.config, self.storage
        self.streams.advance()
        scaling = self.scaling()
        drawn = noise(self.task.distribution, self.streams, config.n_steps)  # [T, K, M]
        self.stepper.prepare(config.n_steps)
        for t in range(config.n_steps):
            actions = self._actions(scaling, drawn[t])
            step = self.stepper.step(actions)
            storage.store(t, self.observations, actions, _with_successors(step, self.observations))
            self.observations.copy_(step.observations)

    @torch.no_grad()
    def learn(self) -> None:
        """Learns from the storage and adds it to the moments."""
        scaling, storage = self.scaling(), self.storage
        self.batch_scaling = scaling
        valid = storage.counted
        self.episodes.update(storage.rewards, storage.dones, valid, self.streams.rollout, self.group)
        if self.moments is not None:
            counted = None if valid is None else valid.flatten(1)
            self.moments.update(storage.observations.flatten(1, 2), counted, self.group)
        rewards = storage.rewards.to(self.learner.parameters.dtype)
        if self.rewards is not None:
            ends = storage.dones if valid is None else storage.dones | (valid == 0)
            rewards = self.rewards.scale(rewards, ends, valid, self.group)
        self.batch = self._batch(rewards, scaling)
        self.learner.update(self.batch, scaling, self.streams, self._divisions)
        if self.config.ema_decay:
            decay = self.config.ema_decay
            self.average.mul_(decay).add_(self.learner.parts[0], alpha=1 - decay)

    def scaling(self) -> Scaling | None:
        """How observations are scaled until the next rollout is taken into the moments."""
        return None if self.moments is None else self.moments.scaling()

    def _actions(self, scaling: Scaling | None, drawn: Tensor) -> Tensor:
        """Samples actions [M, ...] for the current observations."""
        rows = self.observations.unflatten(0, (self.learner.members, -1))  # [S, N, D]
        outputs = self.learner.actor_outputs(rows, scaling).flatten(0, 1)
        return sample(self.task.distribution, outputs, drawn).to(self.task.torch_action_dtype)

    def _batch(self, rewards: Tensor, scaling: Scaling | None) -> DeviceBatch:
        """The stored rollout with its advantages and targets, flat."""
        config, storage, learner = self.config, self.storage, self.learner
        shape = rewards.shape  # [S, T, N]
        rows = storage.observations.flatten(1, 2)  # [S, T N, D]
        values = learner.values(rows, scaling).reshape(shape)
        ends = storage.dones if config.truncation == "terminate" else storage.terminated
        next_values = learner.values(storage.successors.flatten(1, 2), scaling).reshape(shape) * ~ends
        valid = storage.counted
        if valid is not None:
            next_values = next_values * valid
        deltas = td_errors(rewards, values, next_values, config.gamma)
        dones = storage.dones.to(rewards.dtype)
        time_first = (deltas.transpose(0, 1), dones.transpose(0, 1))  # [T, S, N]
        advantages = gae(*time_first, config.gamma, config.gae_lambda).transpose(0, 1)
        targets = (advantages + values).flatten(1)
        weights = None if valid is None else valid.flatten(1).to(rewards.dtype)
        flat = advantages.flatten(1)
        actions = storage.actions.flatten(1, 2)
        return DeviceBatch(
            observations=rows,
            actions=actions,
            advantages=self._normalized(flat, weights) if config.normalize_advantages else flat,
            values=values.flatten(1),
            value_targets=targets,
            old_log_probs=None if config.clip_range is None else learner.log_probs(rows, actions, scaling),
            weights=weights,
        )

    def _normalized(self, advantages: Tensor, weights: Tensor | None, eps: float = 1e-8) -> Tensor:
        """Normalises each member's advantages over its steps in all processes."""
        counted = torch.ones_like(advantages) if weights is None else weights
        wide = advantages.double()
        powers = torch.stack((counted.double(), wide * counted, wide * wide * counted))
        count, total, squares = self.group.sum(powers.sum(dim=2))  # [S] each
        mean = total / count
        deviation = ((squares - count * mean * mean).clamp(min=0.0) / (count - 1).clamp(min=1.0)).sqrt()
        scaled: Tensor = (wide - mean[:, None]) / (deviation[:, None] + eps)
        return scaled.to(advantages.dtype)


def divisions(config: TrainingConfig, processes: int) -> tuple[Division, Division | None]:
    """How rollouts are dealt to the actor, and to a critic with its own minibatch size.

    Raises:
        InvalidArgument: they cannot be dealt evenly.
    """

    def division(size: int | None, name: str) -> Division:
        return Division.of(config.n_steps, config.n_envs, processes, size, name)

    own = config.critic_minibatch_size
    return (
        division(config.minibatch_size, "minibatch_size"),
        None if own is None else division(own, "critic_minibatch_size"),
    )


def _with_successors(step: DeviceStep, before: Tensor) -> DeviceStep:
    """Fills in `successors` if the environment hides its last observations.

    The observations before the step then stand for the last ones.
    """
    if step.successors is None:
        done = step.terminated | step.truncated
        step.successors = torch.where(done[:, None], before, step.observations)
    return step
