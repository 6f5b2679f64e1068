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

    With `ema_decay` d > 0 it also keeps the exponential average of the weights: a <- d a + (1 - d)
    w after the updates of each rollout. The export divides it by 1 - d^n after n rollouts, as Adam
    does, because the average starts at 0 (Polyak and Juditsky 1992).
    """

    def __init__(self, learner: Learner, spec: NetworkSpec, ema_decay: float) -> None:
        self._learner, self._decay = learner, ema_decay
        self._shared = learner.backend.device == "cpu"
        self.parameters = learner.backend.to_numpy(learner.actor.parameters)  # [P]
        self._outputs = host_outputs(spec, self.parameters)
        self.average = np.zeros(len(self.parameters))  # [P], float64
        self.averaged = 0  # rollouts that the average has taken in

    def refresh(self) -> None:
        """Takes in the weights after the learner's updates of one rollout."""
        self.share()
        if self._decay:
            self.average *= self._decay
            self.average += (1 - self._decay) * self.parameters
            self.averaged += 1

    def share(self) -> None:
        """Copies the learner's weights to the acting ones.

        Does nothing on a CPU, where both are the same memory.
        """
        if not self._shared:
            self.parameters[:] = self._learner.backend.to_numpy(self._learner.actor.parameters)

    def policy(self, scaling: ObservationScaling | None) -> ActingPolicy:
        """The policy as it acts now."""
        return ActingPolicy(self._outputs, self._learner.distribution, scaling)

    def export_parameters(self) -> np.ndarray:
        """A copy of the weights to export [P]: their average if there is one, else the last."""
        if self.averaged == 0:
            return self.parameters.copy()
        return (self.average / (1 - self._decay**self.averaged)).astype(self.parameters.dtype)
