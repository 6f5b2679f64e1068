"""Plays a run's policies: quickly to choose between them, seed by seed to report on one."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from policyd_trainer.algorithms.build import NetworkSpecs
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.errors import EnvironmentNeverEnds
from policyd_trainer.environments.interface import Environments
from policyd_trainer.environments.make import EnvironmentInfo, make_environments, make_seeded
from policyd_trainer.evaluation.budget import EVALUATION, FEWEST, RESCORING, SELECTION, Budget
from policyd_trainer.evaluation.episodes import EpisodeStats, play
from policyd_trainer.evaluation.figures import first_seed
from policyd_trainer.evaluation.reservoir import Reservoir
from policyd_trainer.evaluation.selection import Selection, Snapshot

AGAIN = 2  # the first round of rescoring plays so many times the episodes of the first scoring
BLOCK = 128  # most episodes side by side
PATIENCE = 10_000  # step limit of a candidate's episode, unless the environment's time limit is longer


@dataclass
class Evaluator:
    """Scores snapshots by the smaller mean return of the two modes, greedy and sampled."""

    config: TrainingConfig
    info: EnvironmentInfo
    specs: NetworkSpecs
    budget: Budget = field(default_factory=Budget)  # without limits
    _environments: dict[int, Environments] = field(default_factory=dict)  # by their number

    def scored(self, snapshot: Snapshot, needed: float, left: int) -> float:
        """The score of a candidate. `left` candidates are still to come, this one included.

        It is -inf if the budget allows too few episodes to tell candidates apart.
        """
        episodes = self.budget.episodes(self.config.selection_episodes, runs=2 * left, until=SELECTION)
        if episodes < FEWEST:
            return float("-inf")
        return self.score(snapshot, "selection", episodes, needed)

    def score(self, snapshot: Snapshot, purpose: str, episodes: int, needed: float = float("-inf")) -> float:
        """The smaller mean return of both modes, over about `episodes` each.

        The seeds are used for this purpose alone. A score below `needed` is of no use, so the
        second mode is not played if the first is below it. A policy whose episodes do not end gets
        -inf, and the run goes on.
        """
        together = self.budget.side_by_side(BLOCK, is_vector=self.info.form is not None)
        blocks = -(-episodes // together)
        environments = self._some(-(-episodes // blocks))
        seed = first_seed(self.config.seed, purpose)
        try:
            worst = float("inf")
            for mode in (False, True):
                returns = [self._returns(environments, snapshot, seed + i, mode) for i in range(blocks)]
                worst = min(worst, float(np.mean(returns)))
                if worst < needed:
                    break
        except EnvironmentNeverEnds:
            return float("-inf")
        return worst

    def _returns(
        self, environments: Environments, snapshot: Snapshot, seed: int, deterministic: bool
    ) -> np.ndarray:
        policy = snapshot.policy(self.specs, self.info.codec.distribution)
        limit = min(self.config.episode_step_limit, max(PATIENCE, self.info.max_episode_steps or 0))
        played = play(
            environments,
            policy,
            seed,
            deterministic=deterministic,
            step_limit=limit,
            each_step=self.budget.step,
        )
        self.budget.played(float(played.lengths.mean()))
        return played.returns

    def choose(self, selection: Selection, last: Snapshot) -> Snapshot:
        """The best of the finalists and the last weights.

        In each round the better half plays twice as many new episodes: successive halving (Karnin,
        Koren and Somekh 2013). So most episodes go to policies that are hard to tell apart. Of
        equal scores the one listed first wins, so the first that has the best possible return is
        chosen at once.
        """
        remaining = [last, *(each for _, each in selection.ranked if not each.is_of(last))]
        episodes = AGAIN * self.config.selection_episodes
        while len(remaining) > 1:
            episodes = self.budget.episodes(episodes, runs=2 * len(remaining), until=RESCORING)
            if episodes < FEWEST:
                break  # takes the best so far; before any round, the last weights
            remaining = self._better_half(remaining, episodes)
            episodes *= 2
        return remaining[0]

    def _better_half(self, contenders: list[Snapshot], episodes: int) -> list[Snapshot]:
        """The better half, best first; only one if it has the best possible return."""
        kept = (len(contenders) + 1) // 2
        ranked: list[tuple[float, Snapshot]] = []
        for each in contenders:
            needed = ranked[kept - 1][0] if len(ranked) >= kept else float("-inf")
            score = self.score(each, f"rescoring {episodes}", episodes, needed)
            ranked = sorted([*ranked, (score, each)], key=lambda pair: -pair[0])  # of equals the earlier one
            if ranked[0][0] >= self.info.best_return:
                return [ranked[0][1]]
        return [each for _, each in ranked[:kept]]

    def play(
        self, snapshot: Snapshot, first: int, *, deterministic: bool, visited: Reservoir | None = None
    ) -> EpisodeStats:
        """Plays the evaluation. Episode i starts with reset(seed=first + i), as a client's could.

        The steps and greedy actions of an episode do not depend on the episodes beside it. The
        budget may allow fewer episodes than the setting `evaluation_episodes`, unless the request
        set it.
        """
        self._free()
        policy = snapshot.policy(self.specs, self.info.codec.distribution)
        wanted = self._evaluation_episodes(modes=2 if deterministic else 1)
        together = self.budget.side_by_side(BLOCK, is_vector=self.info.form is not None)
        blocks: list[EpisodeStats] = []
        for start in range(0, wanted, together):
            if start >= FEWEST and self._is_spent():
                break  # episodes are longer than expected
            count = min(together, wanted - start)
            environments = make_seeded(self.config, self.info, range(first + start, first + start + count))
            with closing(environments):
                blocks.append(
                    play(
                        environments,
                        policy,
                        first + start,
                        deterministic=deterministic,
                        step_limit=self.config.episode_step_limit,
                        visited=visited,
                        each_step=self.budget.step,
                    )
                )
            self.budget.played(float(blocks[-1].lengths.mean()))
        returns, lengths = (
            np.concatenate([getattr(block, name) for block in blocks]) for name in ("returns", "lengths")
        )
        return EpisodeStats(returns, lengths)

    def close(self) -> None:
        """Frees the environments."""
        self._free()

    def _evaluation_episodes(self, modes: int) -> int:
        """How many episodes each mode is to play."""
        wanted = self.config.evaluation_episodes
        if self.budget.is_asked:
            return wanted
        return max(FEWEST, self.budget.episodes(wanted, runs=modes, until=EVALUATION))

    def _is_spent(self) -> bool:
        return not self.budget.is_asked and not self.budget.episodes(1, runs=1, until=EVALUATION)

    def _some(self, n_envs: int) -> Environments:
        """Environments for scores. Besides those of the training, no others exist at that time."""
        if n_envs not in self._environments:
            self._free()
            self._environments[n_envs] = make_environments(self.config, self.info, n_envs)
        return self._environments[n_envs]

    def _free(self) -> None:
        for environments in self._environments.values():
            environments.close()
        self._environments.clear()
