"""Independent categorical branches.

The parameters are their logits one after another [B, sum of nvec].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from policyd_trainer.arrays import Array
from policyd_trainer.distributions.categorical import Categorical


@dataclass(frozen=True)
class MultiCategorical:
    """pi(a|s) = prod_j softmax(logits_j)_{a_j}. Actions are indices from 0 [branches]."""

    nvec: tuple[int, ...]
    action_dtype: Any = np.int64

    @property
    def outputs(self) -> int:
        """One logit for each choice of each branch."""
        return sum(self.nvec)

    @property
    def action_shape(self) -> tuple[int, ...]:
        """The shape [branches] of one action."""
        return (len(self.nvec),)

    def noise(self, rng: np.random.Generator, steps: int, n_envs: int) -> np.ndarray:
        """One uniform number per branch [T, N, branches]."""
        return rng.random((steps, n_envs, len(self.nvec)))

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Samples each branch as a Categorical, with its own number -> [B, branches]."""
        chosen = [branch.sample(part, noise[:, j]) for j, branch, part in self._branches(outputs)]
        return np.stack(chosen, axis=-1)

    def mode(self, outputs: np.ndarray) -> np.ndarray:
        """Each branch's most probable index [B, branches]."""
        return np.stack([branch.mode(part) for _, branch, part in self._branches(outputs)], axis=-1)

    def log_probs(self, xp: Any, outputs: Array, actions: Array) -> Array:
        """sum_j log softmax(logits_j)_{a_j} [B]."""
        return sum(branch.log_probs(xp, part, actions[:, j]) for j, branch, part in self._branches(outputs))

    def entropy(self, xp: Any, outputs: Array) -> Array:
        """The sum of the branches' entropies [B]: they are independent."""
        return sum(branch.entropy(xp, part) for _, branch, part in self._branches(outputs))

    def loss_gradient(
        self, xp: Any, outputs: Array, actions: Array, weights: Array, entropy_weight: float
    ) -> Array:
        """The branches' gradients side by side: log pi and H are sums over branches."""
        parts = [
            branch.loss_gradient(xp, part, actions[:, j], weights, entropy_weight)
            for j, branch, part in self._branches(outputs)
        ]
        return xp.concatenate(parts, axis=-1)

    def _branches(self, outputs: Array) -> Iterator[tuple[int, Categorical, Array]]:
        start = 0
        for j, n in enumerate(self.nvec):
            yield j, Categorical(n), outputs[:, start : start + n]
            start += n
