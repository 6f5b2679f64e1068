"""Steps to learn from: a rollout's valid steps, flat."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.arrays import Array


@dataclass(frozen=True)
class Batch:
    """Steps to learn from, flat. All on the learner's device."""

    observations: Array  # [B, D]
    actions: Array  # [B, *action_shape]
    advantages: Array  # [B]
    scale: float  # of each step's part in the losses: 1 / B, or 1 / episodes
    values: Array | None = None  # V(s_t) before the update [B]
    value_targets: Array | None = None  # [B]
    next_observations: Array | None = None  # [B, D], only where the critic's gradient is `full`
    next_discounts: Array | None = None  # [B], gamma, or 0 where nothing is bootstrapped

    def __len__(self) -> int:
        return len(self.advantages)

    def take(self, rows: Array) -> Batch:
        """The steps of a minibatch, each with its part of that minibatch's mean."""
        pick = [None if array is None else array[rows] for array in (self.values, self.value_targets)]
        nexts = [
            None if array is None else array[rows] for array in (self.next_observations, self.next_discounts)
        ]
        scale = self.scale * len(self) / len(rows)
        observations, actions = self.observations[rows], self.actions[rows]
        return Batch(observations, actions, self.advantages[rows], scale, *pick, *nexts)
