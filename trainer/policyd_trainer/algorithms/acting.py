"""The learner's actor as numpy, for acting, and the average of its weights, for export."""

from __future__ import annotations

import numpy as np

from policyd_trainer.algorithms.learner import Learner
from policyd_trainer.estimators.normalization import ObservationScaling
from policyd_trainer.networks.host import host_outputs
from policyd_trainer.networks.spec import NetworkSpec
from policyd_trainer.rollouts.policy import ActingPolicy


class ActingCopy:
    """Acts with the learner's weights: the same memory on a CPU, one copy per rollout from a GPU.

    With `ema_decay` d > 0 it also keeps their exponential average, a <- d a + (1 - d) w after each
    rollout's updates, with the bias towards the start taken out as in Adam (Polyak and Juditsky
    1992).
    """

    def __init__(self, learner: Learner, spec: NetworkSpec, ema_decay: float) -> None:
        self._learner, self._decay = learner, ema_decay
        self._shared = learner.backend.device == "cpu"
        self.parameters = learner.backend.to_numpy(learner.actor.parameters)  # [P]
        self._outputs = host_outputs(spec, self.parameters)
        self.average = np.zeros(len(self.parameters))  # [P], float64
        self.averaged = 0  # refreshes taken into the average

    def refresh(self) -> None:
        """After updates of the learner."""
        self.share()
        if self._decay:
            self.average *= self._decay
            self.average += (1 - self._decay) * self.parameters
            self.averaged += 1

    def share(self) -> None:
        """Makes the learner's weights the acting ones.

        Nothing to do where the memory is the same.
        """
        if not self._shared:
            self.parameters[:] = self._learner.backend.to_numpy(self._learner.actor.parameters)

    def policy(self, scaling: ObservationScaling | None) -> ActingPolicy:
        """The policy as it acts now."""
        return ActingPolicy(self._outputs, self._learner.distribution, scaling)

    def export_parameters(self) -> np.ndarray:
        """A copy of what is to be exported.

        The average where there is one, else the weights [P].
        """
        if self.averaged == 0:
            return self.parameters.copy()
        return (self.average / (1 - self._decay**self.averaged)).astype(self.parameters.dtype)
