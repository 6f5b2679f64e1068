"""The EVALUATING phase: which weights are exported, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policy_api.v1 import artifact_pb2
from policyd_trainer.config import TrainingConfig
from policyd_trainer.evaluation.evaluator import Evaluator
from policyd_trainer.evaluation.figures import first_seed, return_figures
from policyd_trainer.evaluation.reservoir import Reservoir
from policyd_trainer.evaluation.selection import Selection, Snapshot

VISITED = 500  # observations kept of the greedy episodes, and the same number of the sampled ones


@dataclass(frozen=True)
class Evaluated:
    """The chosen weights and their figures."""

    snapshot: Snapshot
    evaluation: artifact_pb2.Evaluation
    greedy: np.ndarray  # [V, D], a uniform sample of what the greedy episodes observed
    sampled: np.ndarray  # [V, D], the same for the sampled ones


def evaluate(
    config: TrainingConfig,
    evaluator: Evaluator,
    selection: Selection,
    last: Snapshot,
) -> Evaluated:
    """Chooses the weights, then plays the policy greedy and sampled.

    The choice used other episodes.
    """
    chosen = evaluator.choose(selection, last)
    first = first_seed(config.seed, "evaluation")
    evaluation = artifact_pb2.Evaluation(first_seed=first)
    visited = []
    for figures, deterministic in ((evaluation.greedy, True), (evaluation.sampled, False)):
        visited.append(Reservoir(VISITED, first))
        played = evaluator.play(chosen, first, deterministic=deterministic, visited=visited[-1])
        figures.CopyFrom(return_figures(played))
    return Evaluated(chosen, evaluation, *(reservoir.rows for reservoir in visited))
