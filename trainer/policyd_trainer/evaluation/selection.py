"""Which weights of a run are exported.

Candidates are scored along the run on one set of episodes; the best few are scored again on
fresh ones, which takes back most of the luck; the figure that is reported comes from a third set,
that no choice has seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from policyd_trainer.algorithms.build import NetworkSpecs
from policyd_trainer.distributions.interface import Distribution
from policyd_trainer.estimators.normalization import ObservationScaling, RunningMoments
from policyd_trainer.networks.host import host_outputs
from policyd_trainer.rollouts.policy import ActingPolicy

FINALISTS = 4  # candidates that are scored again


@dataclass(frozen=True)
class Snapshot:
    """A policy as it was at one moment of the run."""

    env_steps: int
    actor: np.ndarray  # [P]
    critic: np.ndarray | None  # [P]
    moments: RunningMoments | None  # of the observations; None: not normalised
    member: int = 0  # of a population

    def is_of(self, other: Snapshot) -> bool:
        """Whether both are the same policy at the same moment."""
        return (self.env_steps, self.member) == (other.env_steps, other.member)

    @property
    def scaling(self) -> ObservationScaling | None:
        """How the policy's observations are scaled."""
        return None if self.moments is None else ObservationScaling.of(self.moments)

    def policy(self, specs: NetworkSpecs, distribution: Distribution) -> ActingPolicy:
        """The policy, to act with."""
        return ActingPolicy(host_outputs(specs.actor, self.actor), distribution, self.scaling)


@dataclass
class Selection:
    """The best candidates so far, best first.

    The last weights of the run are always among those rescored.
    """

    ranked: list[tuple[float, Snapshot]] = field(default_factory=list)

    @property
    def needed(self) -> float:
        """The score that a candidate must reach to be kept."""
        return self.ranked[-1][0] if len(self.ranked) == FINALISTS else -np.inf

    def offer(self, score: float, snapshot: Snapshot) -> None:
        """Keeps the snapshot if it is among the best; of equal scores the later one.

        A snapshot with the score -inf is not kept.
        """
        if score == -np.inf:
            return
        self.ranked = sorted([(score, snapshot), *self.ranked], key=lambda pair: -pair[0])[:FINALISTS]
