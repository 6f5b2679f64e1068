"""The policy as acting needs it: numpy in, numpy out, no gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from policyd_trainer.distributions.interface import Distribution
from policyd_trainer.estimators.normalization import ObservationScaling


@dataclass
class ActingPolicy:
    """Maps rows of observations to actions. `outputs` reads the learner's weights or a copy."""

    outputs: Callable[[np.ndarray], np.ndarray]  # [N, D] -> [N, O]
    distribution: Distribution
    scaling: ObservationScaling | None = None

    @property
    def network(self) -> object:
        """The object that has `outputs` as a method; None if `outputs` is a function."""
        return getattr(self.outputs, "__self__", None)

    def sample(self, observations: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Samples actions [N, ...] for rows [N, D] from the distribution's noise [N, ...]."""
        return self.distribution.sample(self._outputs(observations), noise)

    def mode(self, observations: np.ndarray) -> np.ndarray:
        """The most probable actions [N, ...] for rows [N, D]."""
        return self.distribution.mode(self._outputs(observations))

    def log_probs(self, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The log-probabilities log pi(a|s) [B] of actions [B, ...] in rows [B, D]."""
        found: np.ndarray = self.distribution.log_probs(np, self._outputs(observations), actions)
        return found

    def _outputs(self, observations: np.ndarray) -> np.ndarray:
        return self.outputs(observations if self.scaling is None else self.scaling(observations))
