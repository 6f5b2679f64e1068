"""Plays a run's policies: quickly to choose between them, seed by seed to report on one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trainer.algorithms.build import NetworkSpecs
from trainer.config import TrainingConfig
from trainer.environments.errors import EnvironmentNeverEnds
from trainer.environments.interface import Environments
from trainer.environments.make import EnvironmentInfo, make_environments, make_plain
from trainer.evaluation.episodes import Played, play
from trainer.evaluation.figures import first_seed
from trainer.evaluation.reservoir import Reservoir
from trainer.evaluation.selection import Selection, Snapshot

RESCORING = 2  # times as many episodes as the first scoring, in the first round
BLOCK = 128  # episodes side by side at most
PATIENCE = 10_000  # steps of a candidate's episode where the environment has no longer time limit


@dataclass
class Judge:
    """Scores snapshots. A policy is as good as the worse of its two modes, greedy and sampled."""

    config: TrainingConfig
    info: EnvironmentInfo
    specs: NetworkSpecs
    _environments: dict[int, Environments] = field(default_factory=dict)  # by how many

    def score(self, snapshot: Snapshot, purpose: str, episodes: int) -> float:
        """The smaller mean return, over about `episodes` each, seeded for this purpose alone.

        A policy whose episodes do not end is the worst there is, and no reason to give up the run.
        """
        blocks = -(-episodes // BLOCK)
        environments = self._some(-(-episodes // blocks))
        seed = first_seed(self.config.seed, purpose)
        try:
            means = [
                np.mean([self._returns(environments, snapshot, seed + i, mode) for i in range(blocks)])
                for mode in (True, False)
            ]
        except EnvironmentNeverEnds:
            return float("-inf")
        return float(min(means))

    def _returns(
        self, environments: Environments, snapshot: Snapshot, seed: int, deterministic: bool
    ) -> np.ndarray:
        policy = snapshot.policy(self.specs, self.info.codec.distribution)
        limit = min(self.config.episode_step_limit, max(PATIENCE, self.info.max_episode_steps or 0))
        return play(environments, policy, seed, deterministic=deterministic, step_limit=limit).returns

    def choose(self, selection: Selection, last: Snapshot) -> Snapshot:
        """The best of the finalists and the last weights: the better half plays twice as much, always anew.

        Successive halving (Karnin, Koren and Somekh 2013): most episodes go to what is hard to tell apart.
        """
        remaining = [last, *(each for _, each in selection.ranked if each.env_steps != last.env_steps)]
        episodes = RESCORING * self.config.selection_episodes
        while len(remaining) > 1:
            scores = [self.score(each, f"rescoring {episodes}", episodes) for each in remaining]
            best = sorted(range(len(remaining)), key=lambda i: -scores[i])  # of equals the earlier listed
            remaining = [remaining[i] for i in best[: (len(best) + 1) // 2]]
            episodes *= 2
        return remaining[0]

    def play(
        self, snapshot: Snapshot, first: int, *, deterministic: bool, visited: Reservoir | None = None
    ) -> Played:
        """Evaluation: episode i in an ordinary environment reset with seed first + i, as any client could.

        Steps are the same whatever else is played beside an episode; so are greedy actions.
        """
        policy = snapshot.policy(self.specs, self.info.codec.distribution)
        blocks = []
        for start in range(0, self.config.evaluation_episodes, BLOCK):
            count = min(BLOCK, self.config.evaluation_episodes - start)
            seeds = iter(range(first + start, first + start + count))
            environments = make_plain(self.config, self.info, count, seeds)
            blocks.append(
                play(
                    environments,
                    policy,
                    first + start,
                    deterministic=deterministic,
                    step_limit=self.config.episode_step_limit,
                    visited=visited,
                )
            )
            environments.close()
        returns, lengths = (
            np.concatenate([getattr(block, name) for block in blocks]) for name in ("returns", "lengths")
        )
        return Played(returns, lengths)

    def close(self) -> None:
        """Frees the environments."""
        for environments in self._environments.values():
            environments.close()

    def _some(self, n_envs: int) -> Environments:
        if n_envs not in self._environments:
            self._environments[n_envs] = make_environments(self.config, self.info, n_envs)
        return self._environments[n_envs]
