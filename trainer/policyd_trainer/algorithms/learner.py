"""The parameters and how a batch changes them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from policyd.errors import Internal
from policyd_trainer.algorithms.batches import Batch
from policyd_trainer.algorithms.fused import actor_pass, critic_pass, is_fused
from policyd_trainer.algorithms.gradients import actor_gradient, critic_gradient
from policyd_trainer.algorithms.rates import Rates
from policyd_trainer.arrays import Array, Backend
from policyd_trainer.config import TrainingConfig
from policyd_trainer.distributions.interface import Distribution
from policyd_trainer.estimators.normalization import ObservationScaling, most_rows
from policyd_trainer.networks.interface import Network
from policyd_trainer.optimization.clipping import clip_by_norm
from policyd_trainer.optimization.optimizers import Optimizer, make_optimizer


class Diverged(Internal):
    """A gradient or a parameter is not finite."""

    reason = "DIVERGED"


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
        networks = [network for network in (actor, critic) if network is not None]
        optimizers = [each for each in (self.actor_optimizer, self.critic_optimizer) if each is not None]
        self.is_fused = is_fused(config, distribution, networks, optimizers)

    def values(self, observations: Array, scaling: ObservationScaling | None = None) -> Array:
        """V [B] of rows [B, D], of images a part at a time.

        With `scaling` the rows are still bytes.
        """
        assert self.critic is not None, "there is a critic"
        some, parts = most_rows(observations), []
        for start in range(0, len(observations), some):
            part = observations[start : start + some]
            parts.append(self.critic.outputs(part if scaling is None else scaling(part))[:, 0])
        return parts[0] if len(parts) == 1 else self.backend.xp.concatenate(parts)

    def log_probs(self, batch: Batch) -> Array:
        """The log-probabilities [B] of a batch's actions under the actor as it is now.

        Images are taken a part at a time.
        """
        some, parts = most_rows(batch.observations), []
        for start in range(0, len(batch), some):
            observations = batch.observations[start : start + some]
            if batch.scaling is not None:
                observations = batch.scaling(observations)
            actions = batch.actions[start : start + some]
            outputs = self.actor.outputs(observations)
            parts.append(self.distribution.log_probs(self.backend.xp, outputs, actions))
        return parts[0] if len(parts) == 1 else self.backend.xp.concatenate(parts)

    def update(self, batch: Batch, rates: Rates, rng: np.random.Generator) -> None:
        """Updates the networks: each epoch, each minibatch.

        The critic steps with the actor, or in epochs of its own if it has its own minibatch size.

        Raises:
            Diverged: a gradient is not finite. The parameters are then those of before the bad
                step.
        """
        if self.is_fused and batch.scaling is None:
            self._update_fused(batch, rates, rng)
            return
        own_size = self._config.critic_minibatch_size
        for minibatch in self._minibatches(batch, rng, self._config.minibatch_size):
            self._step_actor(minibatch, rates)
            if self.critic is not None and own_size is None:
                self._step_critic(self.critic, minibatch, rates)
            self.updates += 1
        if self.critic is not None and own_size is not None:
            for minibatch in self._minibatches(batch, rng, own_size):
                self._step_critic(self.critic, minibatch, rates)

    def _update_fused(self, batch: Batch, rates: Rates, rng: np.random.Generator) -> None:
        """Does the same update in fewer, compiled calls.

        The numbers are the same, because neither network's step reads the other network.
        """
        config, critic = self._config, self.critic
        size, own_size = config.minibatch_size or len(batch), config.critic_minibatch_size
        for order in self._orders(len(batch), size, rng):
            norm = actor_pass(config, self.actor, self.actor_optimizer, batch, order, rates)
            self._check_norm(norm)
            self.updates += -(-len(batch) // size)
            if critic is not None and own_size is None:
                self._pass_critic(critic, batch, order, rates)
        if critic is not None and own_size is not None:
            for order in self._orders(len(batch), own_size, rng):
                self._pass_critic(critic, batch, order, rates)

    def _pass_critic(self, critic: Network, batch: Batch, order: Array, rates: Rates) -> None:
        assert self.critic_optimizer is not None, "made with the critic"
        self._check_norm(critic_pass(self._config, critic, self.critic_optimizer, batch, order, rates))

    def _check_norm(self, norm: float) -> None:
        if not math.isfinite(norm):
            raise Diverged(f"the gradient's norm became {float(norm)} at update {self.updates}")

    def check_finite(self) -> None:
        """Checks the parameters. On a GPU this waits for the device.

        Raises:
            Diverged: one is not finite.
        """
        for network in (self.actor, self.critic):
            if network is not None and not np.isfinite(self.backend.to_numpy(network.parameters)).all():
                raise Diverged(f"a parameter is not finite after update {self.updates}")

    def _step_actor(self, batch: Batch, rates: Rates) -> None:
        gradient = actor_gradient(
            self.backend.xp, self.distribution, self.actor, batch, rates.ent_coef, self._config.clip_range
        )
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
        # On a GPU, reading the norm would wait for the device. There, checkpoints check the
        # parameters.
        if self.backend.device == "cpu":
            self._check_norm(norm)
        optimizer.step(network.parameters, gradient, rate)

    def _minibatches(self, batch: Batch, rng: np.random.Generator, size: int | None) -> Iterator[Batch]:
        size = size or len(batch)
        for order in self._orders(len(batch), size, rng):
            if size >= len(batch):
                yield batch.scaled()
                continue
            for start in range(0, len(batch), size):
                yield batch.take(order[start : start + size]).scaled()

    def _orders(self, count: int, size: int, rng: np.random.Generator) -> Iterator[Array]:
        """The order of a batch's rows [B] in each epoch. It is random if there are minibatches."""
        for _ in range(self._config.n_epochs):
            yield self.backend.asarray(np.arange(count) if size >= count else rng.permutation(count))

    def _optimizer(self, network: Network) -> Optimizer:
        config = self._config
        return make_optimizer(config.optimizer, self.backend.xp, network.parameters, config.optimizer_eps)
