"""The categorical distribution over n actions; its parameters are logits [B, n]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from policyd_trainer import compiled
from policyd_trainer.arrays import Array, is_compiled


@dataclass(frozen=True)
class Categorical:
    """pi(a|s) = softmax(logits)_a. Actions are indices from 0."""

    n: int
    action_shape: tuple[int, ...] = ()
    action_dtype: Any = np.int64

    @property
    def outputs(self) -> int:
        """One logit per action."""
        return self.n

    def noise(self, rng: np.random.Generator, steps: int, n_envs: int) -> np.ndarray:
        """One uniform number per action [T, N]."""
        return rng.random((steps, n_envs))

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Inverts the cumulative distribution at `noise` [B] -> indices [B]."""
        if is_compiled(np, outputs):
            logits, uniform = np.ascontiguousarray(outputs), np.ascontiguousarray(noise, np.float64)
            drawn: np.ndarray = compiled.updates.sample_categorical(logits, uniform)
            return drawn
        cumulative = np.exp(outputs - outputs.max(axis=-1, keepdims=True)).cumsum(axis=-1)  # [B, n]
        actions: np.ndarray = (cumulative[:, :-1] <= noise[:, None] * cumulative[:, -1:]).sum(axis=-1)
        return actions

    def mode(self, outputs: np.ndarray) -> np.ndarray:
        """The index of the largest logit, the first one if several are equal [B]."""
        actions: np.ndarray = outputs.argmax(axis=-1)
        return actions

    def log_probs(self, xp: Any, outputs: Array, actions: Array) -> Array:
        """The log-softmax of the logits at the actions [B]."""
        if xp is not np:
            return xp.log_softmax(outputs, -1).gather(-1, actions[:, None])[:, 0]
        return _log_softmax(xp, outputs)[np.arange(len(actions)), actions]

    def entropy(self, xp: Any, outputs: Array) -> Array:
        """-sum_a p_a log p_a [B]."""
        log_probs = _log_softmax(xp, outputs)
        return -(xp.exp(log_probs) * log_probs).sum(-1)

    def loss_gradient(
        self, xp: Any, outputs: Array, actions: Array, weights: Array, entropy_weight: float
    ) -> Array:
        """The gradient [B, n] in closed form, with p = softmax(logits).

        d(-w log p_a)/d logits = w (p - onehot(a));  d(-H)/d logits_j = p_j (log p_j + H).
        """
        if is_compiled(xp, outputs):
            rows = np.ascontiguousarray(outputs)
            return compiled.updates.categorical_gradient(rows, *_typed(actions, weights), entropy_weight)
        log_probs = _log_softmax(xp, outputs)
        probs = xp.exp(log_probs)
        gradient = probs * weights[:, None]
        gradient[xp.arange(len(actions)), actions] -= weights
        if entropy_weight:
            entropy = -(probs * log_probs).sum(-1)
            gradient += entropy_weight * probs * (log_probs + entropy[:, None])
        return gradient


def _typed(actions: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(actions, np.int64), np.ascontiguousarray(weights, np.float32)


def _log_softmax(xp: Any, logits: Array) -> Array:
    shifted = logits - xp.amax(logits, axis=-1, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(-1))[:, None]
