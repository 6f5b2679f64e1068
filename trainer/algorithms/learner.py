"""The parameters and how a batch changes them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from policy_api.errors import PolicydError
from trainer.algorithms.batches import Batch
from trainer.algorithms.gradients import actor_gradient, critic_gradient
from trainer.arrays import Array, Backend
from trainer.config import TrainingConfig
from trainer.distributions.interface import Distribution
from trainer.estimators.normalization import ObservationScaling, most_rows
from trainer.networks.interface import Network
from trainer.optimization.clipping import clip_by_norm
from trainer.optimization.optimizers import Optimizer, make_optimizer


class Diverged(PolicydError):
    """A gradient or a parameter is not finite."""

    reason = "DIVERGED"


@dataclass(frozen=True)
class Rates:
    """What schedules change along the run."""

    learning_rate: float
    critic_learning_rate: float
    ent_coef: float


class Learner:
    """Actor, critic and their optimisers."""

    def __init__(
        self,
        config: TrainingConfig,
        backend: Backend,
        distribution: Distribution,
        actor: Network,
        critic: Network | None,
    ) -> None:
        self.backend, self.distribution = backend, distribution
        self.actor, self.critic = actor, critic
        self.updates = 0  # gradient steps so far
        self._config = config
        self.actor_optimizer = self._optimizer(actor)
        self.critic_optimizer = None if critic is None else self._optimizer(critic)

    def values(self, observations: Array, scaling: ObservationScaling | None = None) -> Array:
        """V [B] of rows [B, D], images a part at a time; with `scaling` they are bytes still."""
        assert self.critic is not None, "there is a critic"
        some, parts = most_rows(observations), []
        for start in range(0, len(observations), some):
            part = observations[start : start + some]
            parts.append(self.critic.outputs(part if scaling is None else scaling(part))[:, 0])
        return parts[0] if len(parts) == 1 else self.backend.xp.concatenate(parts)

    def update(self, batch: Batch, rates: Rates, rng: np.random.Generator) -> None:
        """Every epoch and minibatch: the actor's step and the critic's, or the critic's in passes of its own.

        Raises:
            Diverged: a gradient is not finite. The parameters are then those of before the bad step.
        """
        own_size = self._config.critic_minibatch_size
        for minibatch in self._minibatches(batch, rng, self._config.minibatch_size):
            self._step_actor(minibatch, rates)
            if self.critic is not None and own_size is None:
                self._step_critic(self.critic, minibatch, rates)
            self.updates += 1
        if self.critic is not None and own_size is not None:
            for minibatch in self._minibatches(batch, rng, own_size):
                self._step_critic(self.critic, minibatch, rates)

    def check_finite(self) -> None:
        """Looks at the parameters, which waits for the device.

        Raises:
            Diverged: one is not finite.
        """
        for network in (self.actor, self.critic):
            if network is not None and not np.isfinite(self.backend.to_numpy(network.parameters)).all():
                raise Diverged(f"a parameter is not finite after update {self.updates}")

    def _step_actor(self, batch: Batch, rates: Rates) -> None:
        gradient = actor_gradient(self.backend.xp, self.distribution, self.actor, batch, rates.ent_coef)
        self._step(
            self.actor, self.actor_optimizer, gradient, self._config.max_grad_norm, rates.learning_rate
        )

    def _step_critic(self, critic: Network, batch: Batch, rates: Rates) -> None:
        gradient = critic_gradient(self.backend.xp, self._config, critic, batch)
        limit = self._config.critic_max_grad_norm or self._config.max_grad_norm
        assert self.critic_optimizer is not None, "made with the critic"
        self._step(critic, self.critic_optimizer, gradient, limit, rates.critic_learning_rate)

    def _step(
        self, network: Network, optimizer: Optimizer, gradient: Array, limit: float | None, rate: float
    ) -> None:
        norm = clip_by_norm(self.backend.xp, gradient, limit)
        # On a GPU looking at the norm would wait for it; there checkpoints look at the parameters.
        if self.backend.device == "cpu" and not math.isfinite(norm):
            raise Diverged(f"the gradient's norm became {float(norm)} at update {self.updates}")
        optimizer.step(network.parameters, gradient, rate)

    def _minibatches(self, batch: Batch, rng: np.random.Generator, size: int | None) -> Iterator[Batch]:
        size = size or len(batch)
        for _ in range(self._config.n_epochs):
            if size >= len(batch):
                yield batch.scaled()
                continue
            order = self.backend.asarray(rng.permutation(len(batch)))
            for start in range(0, len(batch), size):
                yield batch.take(order[start : start + size]).scaled()

    def _optimizer(self, network: Network) -> Optimizer:
        config = self._config
        return make_optimizer(config.optimizer, self.backend.xp, network.parameters, config.optimizer_eps)
