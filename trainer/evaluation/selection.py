"""Which weights of a run are exported.

Candidates are scored along the run on one set of episodes; the best few are scored again on
fresh ones, which takes back most of the luck; the figure that is reported comes from a third set,
that no choice has seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trainer.algorithms.build import NetworkSpecs
from trainer.config import TrainingConfig
from trainer.distributions.interface import Distribution
from trainer.estimators.normalization import ObservationScaling, RunningMoments
from trainer.evaluation.episodes import EpisodePlayer
from trainer.evaluation.figures import first_seed
from trainer.networks.host import host_outputs
from trainer.rollouts.policy import ActingPolicy

FINALISTS = 4  # candidates that are scored again
RESCORING = 4  # times as many episodes as the first scoring


@dataclass(frozen=True)
class Snapshot:
    """A policy as it was at one moment of the run."""

    env_steps: int
    actor: np.ndarray  # [P]
    critic: np.ndarray | None  # [P]
    moments: RunningMoments | None  # of the observations; None: not normalised

    @property
    def scaling(self) -> ObservationScaling | None:
        """How its observations are scaled."""
        return None if self.moments is None else ObservationScaling.of(self.moments)

    def policy(self, specs: NetworkSpecs, distribution: Distribution) -> ActingPolicy:
        """The policy, to act with."""
        return ActingPolicy(host_outputs(specs.actor, self.actor), distribution, self.scaling)


@dataclass
class Selection:
    """The best candidates so far, best first. The last weights of the run are always among those rescored."""

    ranked: list[tuple[float, Snapshot]] = field(default_factory=list)

    def offer(self, score: float, snapshot: Snapshot) -> None:
        """Keeps the snapshot if it is among the best; of equals the later one."""
        self.ranked = sorted([(score, snapshot), *self.ranked], key=lambda pair: -pair[0])[:FINALISTS]


class Judge:
    """Scores snapshots. A policy is as good as the worse of its two modes, greedy and sampled."""

    def __init__(
        self, config: TrainingConfig, specs: NetworkSpecs, distribution: Distribution, player: EpisodePlayer
    ) -> None:
        self._config, self._specs = config, specs
        self._distribution, self._player = distribution, player

    def score(self, snapshot: Snapshot, purpose: str, episodes: int) -> float:
        """The smaller mean return, on the purpose's own episode seeds."""
        first = first_seed(self._config.seed, purpose)
        seeds = range(first, first + episodes)
        policy = snapshot.policy(self._specs, self._distribution)
        return min(
            float(self._player.play(policy, seeds, deterministic=deterministic).returns.mean())
            for deterministic in (True, False)
        )

    def choose(self, selection: Selection, last: Snapshot) -> Snapshot:
        """The best of the finalists and the last weights, on fresh episodes."""
        finalists = [snapshot for _, snapshot in selection.ranked if snapshot.env_steps != last.env_steps]
        if not finalists:
            return last
        episodes = RESCORING * self._config.selection_episodes
        scored = [(self.score(each, "rescoring", episodes), each) for each in (last, *finalists)]
        return max(scored, key=lambda pair: pair[0])[1]
