"""The EVALUATING phase: which weights are exported, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policy_api.v1 import artifact_pb2
from trainer.config import TrainingConfig
from trainer.evaluation.figures import first_seed, return_figures
from trainer.evaluation.judge import Judge
from trainer.evaluation.selection import Selection, Snapshot

VISITED = 1000  # observations kept for the parity check


@dataclass(frozen=True)
class Evaluated:
    """The chosen weights and their figures."""

    snapshot: Snapshot
    evaluation: artifact_pb2.Evaluation
    visited: np.ndarray  # [V, D], observations of the evaluation's episodes


def evaluate(
    config: TrainingConfig,
    judge: Judge,
    selection: Selection,
    last: Snapshot,
) -> Evaluated:
    """Chooses the weights, then plays them greedy and sampled on episodes that no choice has seen."""
    chosen = judge.choose(selection, last)
    first = first_seed(config.seed, "evaluation")
    greedy = judge.play(chosen, first, deterministic=True, visited=VISITED // 2)
    sampled = judge.play(chosen, first, deterministic=False, visited=VISITED - VISITED // 2)
    evaluation = artifact_pb2.Evaluation(
        greedy=return_figures(greedy), sampled=return_figures(sampled), first_seed=first
    )
    return Evaluated(chosen, evaluation, np.concatenate((greedy.observations, sampled.observations)))
