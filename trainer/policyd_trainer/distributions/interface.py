"""What acting, learning and exporting need of a distribution."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from policyd_trainer.arrays import Array


class Distribution(Protocol):
    """A family of distributions over actions. A network's outputs [B, O] are its parameters."""

    @property
    def outputs(self) -> int:
        """O, the number of outputs that the network needs."""

    @property
    def action_shape(self) -> tuple[int, ...]:
        """The shape of one stored action."""

    @property
    def action_dtype(self) -> Any:
        """The type of stored actions."""

    def noise(self, rng: np.random.Generator, steps: int, n_envs: int) -> np.ndarray:
        """The random numbers [T, N, ...] for sampling in a rollout, drawn before it starts."""

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Actions [B, *action_shape] from outputs [B, O] and one step's noise [B, ...]."""

    def mode(self, outputs: np.ndarray) -> np.ndarray:
        """The most probable actions [B, *action_shape]."""

    def log_probs(self, xp: Any, outputs: Array, actions: Array) -> Array:
        """The log-probabilities log pi(a|s) [B]."""

    def entropy(self, xp: Any, outputs: Array) -> Array:
        """H(pi(.|s)) [B]."""

    def loss_gradient(
        self, xp: Any, outputs: Array, actions: Array, weights: Array, entropy_weight: float
    ) -> Array:
        """The gradient [B, O], by the outputs, of the policy's loss with its entropy bonus.

        The loss is -sum_b weights_b log pi(a_b|s_b) - entropy_weight sum_b H(pi(.|s_b)).
        """
