"""The training loop of a program.

Rates before each rollout, counters after it, state for checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policyd_trainer.algorithms.build import Weights, initial_parameters
from policyd_trainer.algorithms.interface import Counters, Learned
from policyd_trainer.algorithms.learner import Diverged
from policyd_trainer.algorithms.losses import explained_variance
from policyd_trainer.algorithms.rates import Rates, rates_at
from policyd_trainer.config import TrainingConfig
from policyd_trainer.device.capture import Runner
from policyd_trainer.device.episodes import EpisodeMeans
from policyd_trainer.device.group import Group
from policyd_trainer.device.precision import set_products
from policyd_trainer.device.program import Program
from policyd_trainer.device.task import DeviceTask
from policyd_trainer.estimators.normalization import RunningMoments
from policyd_trainer.rollouts.collector import never_ends


class DeviceLoop:
    """One run of training with S members in this process alone.

    `ranks.RankedLoop` runs one of it in each of several processes.
    """

    def __init__(
        self,
        config: TrainingConfig,
        task: DeviceTask,
        device: torch.device,
        group: Group | None = None,
        dtype: torch.dtype = torch.float32,
        *,
        capture: bool = True,
    ) -> None:
        set_products(config.precision)
        self.config, self.task = config, task
        self.counters = Counters()
        self.program = Program(config, task, first_parameters(config, task, dtype).to(device), group)
        self.runner = Runner(self.program, capture=capture)
        self.program.reset()
        self._means: tuple[int, EpisodeMeans] = (0, EpisodeMeans())  # rollouts so far, their means

    def run(self) -> Iterator[None]:
        """Trains until the environment steps are used up; yields after each rollout's updates."""
        while self.counters.env_steps < self.config.total_timesteps:
            self.advance(self.rates())
            yield None

    def advance(self, rates: Rates) -> None:
        """Does one rollout and its update with these rates."""
        self.set_rates(rates)
        self.runner.run()
        self.counters.rollouts += 1
        self.counters.env_steps += self.config.n_envs * self.config.n_steps

    def set_rates(self, rates: Rates) -> None:
        """Writes the rates to where the device reads them, without waiting for the device."""
        numbers = (rates.learning_rate, rates.critic_learning_rate, rates.ent_coef)
        for place, number in enumerate(numbers):
            self.program.learner.rates[place].fill_(number)

    @property
    def progress(self) -> float:
        """The part of the run that is done, in [0, 1]."""
        return min(1.0, self.counters.env_steps / self.config.total_timesteps)

    def rates(self) -> Rates:
        """The learning rates and the entropy weight at this moment."""
        return rates_at(self.config, self.progress)

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return self.program.observations.device.type

    @property
    def updates(self) -> int:
        """How many gradient steps the actor has taken."""
        config = self.config
        minibatches = config.n_steps * config.n_envs // (config.minibatch_size or 2**63) or 1
        return self.counters.rollouts * config.n_epochs * minibatches

    @property
    def episodes(self) -> EpisodeMeans:
        """Means of the last episodes.

        Waits for the device if there were rollouts since the last call.

        Raises:
            EnvironmentNeverEnds: an episode is longer than the limit.
        """
        rollouts = self.counters.rollouts
        if self._means[0] != rollouts:
            self._means = rollouts, self.program.episodes.means(rollouts)
            if self._means[1].longest > self.config.episode_step_limit:
                raise never_ends(self.config.episode_step_limit)
        return self._means[1]

    def check_finite(self) -> None:
        """Checks the parameters; waits for the device.

        Raises:
            Diverged: one is not finite.
        """
        learner = self.program.learner
        if not bool(learner.is_finite & learner.parameters.isfinite().all()):
            raise Diverged(f"a gradient or a parameter is not finite after update {self.updates}")

    def learned(self) -> list[Learned]:
        """The policies that would be exported now, one for each member."""
        self.runner.synchronize()
        return [self._learned(member) for member in range(self.config.seeds)]

    def load(self, weights: Weights, moments: RunningMoments | None) -> None:
        """Starts all members from these weights and moments."""
        learner = self.program.learner
        pairs = zip(learner.parts, (weights.actor, weights.critic), strict=True)
        for part, given in pairs:
            if given is not None:
                part.copy_(torch.from_numpy(given).expand_as(part))
        if moments is not None and self.program.moments is not None:
            ours = self.program.moments
            ours.mean.copy_(torch.from_numpy(moments.mean).expand_as(ours.mean))
            ours.squares.copy_(torch.from_numpy(moments.squares).expand_as(ours.squares))
            ours.count.fill_(float(moments.count))

    @property
    def moments(self) -> RunningMoments | None:
        """The first member's moments of the observations; None if they are not normalised."""
        return self._moments(0)

    @property
    def parameter_counts(self) -> tuple[int, int]:
        """The number of parameters of one member's actor and critic."""
        actor, critic = (part.shape[1] for part in self.program.learner.parts)
        return actor, critic

    def losses(self) -> dict[str, float]:
        """Figures of the last batch after its update, as means over the members."""
        batch, learner = self.program.batch, self.program.learner
        if batch is None:
            return {}
        self.runner.synchronize()
        if len(batch) > (some := 4096):
            batch = batch.take(
                torch.arange(some, device=batch.advantages.device).expand(self.config.seeds, -1)
            )
        scaling, entropy_weight = self.program.batch_scaling, learner.rates[2].clone()
        learner.rates[2].zero_()
        with torch.no_grad():
            policy, value = learner.actor_loss(batch, scaling), learner.critic_loss(batch, scaling)
            outputs = learner.actor_outputs(batch.observations, scaling).flatten(0, 1)
            entropy = self.task.distribution.entropy(torch, outputs)
        learner.rates[2].copy_(entropy_weight)
        targets = batch.value_targets[0].cpu().numpy()
        return {
            "train/policy_loss": float(policy.mean()) / len(batch),
            "train/entropy_loss": -float(entropy.mean()),
            "train/value_loss": float(value.mean()) / len(batch),
            "train/explained_variance": explained_variance(batch.values[0].cpu().numpy(), targets),
        }

    def state(self) -> dict[str, Any]:
        """Everything that determines what follows, on the host, for a checkpoint."""
        self.runner.synchronize()
        tensors = {name: tensor.cpu().clone() for name, tensor in self._tensors().items()}
        return {
            "counters": replace(self.counters),
            "tensors": tensors,
            "environments": self.program.stepper.snapshot(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Goes back to a state that `state` returned.

        Environments that could not be saved start new episodes.
        """
        self.counters = replace(saved["counters"])
        for name, tensor in self._tensors().items():
            tensor.copy_(saved["tensors"][name])
        if saved["environments"] is not None:
            self.program.observations.copy_(self.program.stepper.restore(saved["environments"]))
        else:
            self.program.reset(self.counters.rollouts)

    def close(self) -> None:
        """Frees what the environments hold."""
        self.program.stepper.close()

    def _tensors(self) -> dict[str, Tensor]:
        """All state except the environments', as named tensors."""
        program, learner = self.program, self.program.learner
        tensors = {
            "parameters": learner.parameters,
            "average": program.average,
            "rollout": program.streams.rollout,
            "running": program.episodes.running,
            "kept": program.episodes.kept,
            "ended": program.episodes.ended,
        }
        for index, optimizer in enumerate(learner.optimizers):
            tensors |= {f"optimizer {index} {name}": each for name, each in optimizer.moments.items()}
        moments = {"observations": program.moments}
        if program.rewards is not None:
            tensors["discounted"] = program.rewards.discounted
            moments |= {"returns": program.rewards.moments, "rewards": program.rewards.single}
        for name, each in moments.items():
            if each is not None:
                tensors |= {f"{name} mean": each.mean, f"{name} squares": each.squares}
                tensors[f"{name} count"] = each.count
        return tensors

    def _learned(self, member: int) -> Learned:
        actor, critic = (_numpy(part[member]) for part in self.program.learner.parts)
        if self.config.ema_decay and self.counters.rollouts:
            correction = 1 - self.config.ema_decay**self.counters.rollouts
            actor = (self.program.average[member] / correction).float().cpu().numpy()
        return Learned(Weights(actor, critic), self._moments(member))

    def _moments(self, member: int) -> RunningMoments | None:
        ours = self.program.moments
        if ours is None:
            return None
        fresh = RunningMoments.for_rows(self.task.specs.actor.layout.groups())
        fresh.mean[:] = _numpy(ours.mean[member])
        fresh.squares[:] = _numpy(ours.squares[member])
        fresh.count = int(ours.count[member])
        return fresh


def first_parameters(config: TrainingConfig, task: DeviceTask, dtype: torch.dtype) -> Tensor:
    """Initial weights [S, P]. Member s has those of a run with the seed `config.seed + s`."""
    rows = []
    for member in range(config.seeds):
        seeded = config.model_copy(update={"seed": config.seed + member})
        weights = initial_parameters(seeded, task.specs)
        assert weights.critic is not None, "a2c has a critic"
        rows.append(np.concatenate((weights.actor, weights.critic)))
    return torch.from_numpy(np.stack(rows)).to(dtype)


def _numpy(tensor: Tensor) -> np.ndarray:
    result: np.ndarray = tensor.cpu().numpy().copy()
    return result
