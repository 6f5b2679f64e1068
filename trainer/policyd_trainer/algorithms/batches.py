"""Steps to learn from: a rollout's valid steps, flat."""

from __future__ import annotations

from dataclasses import dataclass, replace

from policyd_trainer.arrays import Array
from policyd_trainer.estimators.normalization import ObservationScaling


@dataclass(frozen=True)
class Batch:
    """Steps to learn from, flat. All on the learner's device."""

    observations: Array  # [B, D]
    actions: Array  # [B, *action_shape]
    advantages: Array  # [B]
    scale: float  # weight of each step in the losses: 1 / B, or 1 / episodes
    values: Array | None = None  # V(s_t) before the update [B]
    value_targets: Array | None = None  # [B]
    next_observations: Array | None = None  # [B, D], only where the critic's gradient is `full`
    next_discounts: Array | None = None  # [B], gamma, or 0 where nothing is bootstrapped
    old_log_probs: Array | None = None  # of the actions when they were taken [B]; only with a clip range
    scaling: ObservationScaling | None = None  # of observations that are still bytes; None: they are scaled

    def __len__(self) -> int:
        return len(self.advantages)

    def take(self, rows: Array) -> Batch:
        """The steps of a minibatch. `scale` grows so that the loss is a mean over the minibatch."""

        def pick(array: Array | None) -> Array | None:
            return None if array is None else array[rows]

        return Batch(
            observations=self.observations[rows],
            actions=self.actions[rows],
            advantages=self.advantages[rows],
            scale=self.scale * len(self) / len(rows),
            values=pick(self.values),
            value_targets=pick(self.value_targets),
            next_observations=pick(self.next_observations),
            next_discounts=pick(self.next_discounts),
            old_log_probs=pick(self.old_log_probs),
            scaling=self.scaling,
        )

    def scaled(self) -> Batch:
        """The batch with scaled observations, as the networks take them."""
        if self.scaling is None:
            return self
        nexts = self.next_observations
        return replace(
            self,
            observations=self.scaling(self.observations),
            next_observations=None if nexts is None else self.scaling(nexts),
            scaling=None,
        )
