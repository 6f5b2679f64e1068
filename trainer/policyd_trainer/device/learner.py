"""The parameters of all members in one flat tensor, and how a batch changes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from policyd_trainer.algorithms.build import NetworkSpecs
from policyd_trainer.algorithms.losses import clipped_surrogate, value_loss
from policyd_trainer.config import TrainingConfig
from policyd_trainer.device.batches import DeviceBatch, Division
from policyd_trainer.device.group import Group
from policyd_trainer.device.networks import PopulationNetwork
from policyd_trainer.device.optimizers import clip_by_norm, make_optimizer
from policyd_trainer.device.precision import autocast
from policyd_trainer.device.scaling import Scaling
from policyd_trainer.device.streams import Streams
from policyd_trainer.distributions.interface import Distribution

OWN_PASSES = 500  # first random number of the critic's own epochs, apart from the actor's
MOST_NUMBERS = 64_000_000  # of observations computed at once without a gradient


class DeviceLearner:
    """The actors and critics of S members.

    `rates` [3] are the actor's and the critic's learning rate and the entropy weight.
    """

    def __init__(
        self,
        config: TrainingConfig,
        specs: NetworkSpecs,
        distribution: Distribution,
        parameters: Tensor,
        group: Group,
    ) -> None:
        """`parameters` [S, P] hold the actor's, then the critic's."""
        assert specs.critic is not None, "a2c has a critic"
        self._config, self._distribution, self._group = config, distribution, group
        self.parameters, self.members = parameters, len(parameters)
        device, split = parameters.device, specs.actor.size
        self.parts = (parameters[:, :split], parameters[:, split:])  # of the actor, of the critic
        self.actor = PopulationNetwork(specs.actor, self.parts[0])
        self.critic = PopulationNetwork(specs.critic, self.parts[1])
        self.optimizers = [
            make_optimizer(config.optimizer, part, config.optimizer_eps) for part in self.parts
        ]
        self.rates = torch.zeros(3, device=device)
        self.is_finite = torch.ones((), dtype=torch.bool, device=device)  # all gradients so far
        self._limits = (config.max_grad_norm, config.critic_max_grad_norm or config.max_grad_norm)

    def actor_outputs(self, rows: Tensor, scaling: Scaling | None) -> Tensor:
        """The actor's outputs: [S, B, D] -> [S, B, O], in the type of the parameters."""
        with self._autocast():
            outputs = self.actor.outputs(rows, scaling)
        return outputs.to(self.parameters.dtype)

    def critic_values(self, rows: Tensor, scaling: Scaling | None) -> Tensor:
        """The critic's values: [S, B, D] -> V [S, B]."""
        with self._autocast():
            outputs = self.critic.outputs(rows, scaling)
        return outputs[..., 0].to(self.parameters.dtype)

    @torch.no_grad()
    def values(self, rows: Tensor, scaling: Scaling | None) -> Tensor:
        """V [S, B] of any number of rows [S, B, D]. Many rows are computed a part at a time."""
        some = max(1, MOST_NUMBERS // (len(rows) * rows.shape[2]))
        parts = [self.critic_values(part, scaling) for part in rows.split(some, dim=1)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    @torch.no_grad()
    def log_probs(self, rows: Tensor, actions: Tensor, scaling: Scaling | None) -> Tensor:
        """The log-probabilities log pi(a|s) [S, B] under the actor as it is now.

        Many rows are computed a part at a time.
        """
        some = max(1, MOST_NUMBERS // (len(rows) * rows.shape[2]))
        parts = [
            self._log_probs(self.actor_outputs(part, scaling), chosen)
            for part, chosen in zip(rows.split(some, dim=1), actions.split(some, dim=1), strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def update(
        self,
        batch: DeviceBatch,
        scaling: Scaling | None,
        streams: Streams,
        divisions: tuple[Division, Division | None],
    ) -> None:
        """Updates the networks: each epoch, each minibatch.

        The critic steps with the actor, or in epochs of its own if it has its own minibatch size.
        """
        division, own = divisions
        both = (True, own is None)
        for minibatch in self._minibatches(batch, division, streams, 0):
            self._step(minibatch, scaling, both)
        if own is not None:
            for minibatch in self._minibatches(batch, own, streams, OWN_PASSES):
                self._step(minibatch, scaling, (False, True))

    def actor_loss(self, batch: DeviceBatch, scaling: Scaling | None) -> Tensor:
        """The loss sum_b -(A_b log pi(a_b|s_b) + ent_coef H(pi(.|s_b))) [S], or PPO's surrogate.

        It is a sum over steps, not a mean, so that the sums of several processes can be added.
        """
        outputs = self.actor_outputs(batch.observations, scaling)
        log_probs = self._log_probs(outputs, batch.actions)
        gains = batch.advantages * log_probs
        if batch.old_log_probs is not None and self._config.clip_range is not None:
            ratios = (log_probs - batch.old_log_probs).clip(-20, 20).exp()
            gains = clipped_surrogate(torch, ratios, batch.advantages, self._config.clip_range)
        if self._has_entropy:
            entropy: Tensor = self._distribution.entropy(torch, outputs.flatten(0, 1))
            gains = gains + self.rates[2] * entropy.unflatten(0, outputs.shape[:2])
        return -_summed(gains, batch.weights)

    def critic_loss(self, batch: DeviceBatch, scaling: Scaling | None) -> Tensor:
        """The loss sum_b (target_b - V(s_b))^2 [S], clipped if that is configured."""
        values = self.critic_values(batch.observations, scaling)
        errors = value_loss(torch, values, batch.value_targets, batch.values, self._config.clip_range_vf)
        return _summed(errors, batch.weights)

    def gradient(self, batch: DeviceBatch, scaling: Scaling | None, which: tuple[bool, bool]) -> Tensor:
        """The gradient [S, P] of the mean of actor loss + vf_coef critic loss over all steps.

        `which` says for each of the two whether it is computed; the result has no columns for the
        one left out. All numbers, and the number of steps as the last column, are in one flat
        tensor, so that the processes exchange one sum.
        """
        losses, coefficients = (self.actor_loss, self.critic_loss), (1.0, self._config.vf_coef)
        chosen = [index for index in (0, 1) if which[index]]
        leaves = [leaf for index in chosen for leaf in (self.actor, self.critic)[index].leaves]
        with torch.enable_grad():
            parts = [coefficients[index] * losses[index](batch, scaling).sum() for index in chosen]
            total = torch.stack(parts).sum()
            gradients = torch.autograd.grad(total, leaves)
        count = torch.full((self.members, 1), len(batch), dtype=total.dtype, device=total.device)
        if batch.weights is not None:
            count = batch.weights.sum(dim=1, keepdim=True)
        flat = torch.cat([each.reshape(self.members, -1) for each in gradients] + [count], dim=1)
        flat = self._group.sum(flat)
        mean: Tensor = flat[:, :-1] / flat[:, -1:].clamp(min=1.0)
        return mean

    def _step(self, batch: DeviceBatch, scaling: Scaling | None, which: tuple[bool, bool]) -> None:
        gradient = self.gradient(batch, scaling, which)
        start = 0
        for index in (0, 1):
            if not which[index]:
                continue
            part = self.parts[index]
            own = gradient[:, start : start + part.shape[1]]
            start += part.shape[1]
            self.is_finite &= clip_by_norm(own, self._limits[index]).isfinite().all()
            self.optimizers[index].step(part, own, self.rates[index])

    def _minibatches(
        self, batch: DeviceBatch, division: Division, streams: Streams, first: int
    ) -> Iterator[DeviceBatch]:
        for epoch in range(self._config.n_epochs):
            if division.minibatches == 1:
                yield batch
                continue
            for places in division.places(streams, self.members, first + epoch):
                yield batch.take(places)

    def _log_probs(self, outputs: Tensor, actions: Tensor) -> Tensor:
        flat: Tensor = self._distribution.log_probs(torch, outputs.flatten(0, 1), actions.flatten(0, 1))
        shaped: Tensor = flat.unflatten(0, outputs.shape[:2])
        return shaped

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self._config.precision, self.parameters.device)

    @property
    def _has_entropy(self) -> bool:
        return bool(self._config.ent_coef or self._config.ent_coef_final)


def _summed(numbers: Tensor, weights: Tensor | None) -> Tensor:
    """The sum over steps, weighted if there are weights: [S, B] -> [S]."""
    return (numbers if weights is None else numbers * weights).sum(dim=1)
