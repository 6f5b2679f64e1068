"""Candidates along a run: each gets a score, and perhaps a place in the selection."""

from __future__ import annotations

from dataclasses import dataclass

from policyd_trainer.evaluation.evaluator import Evaluator
from policyd_trainer.evaluation.selection import Selection, Snapshot


@dataclass(frozen=True)
class Candidate:
    """A policy to score, and what the run knew when it offered the policy."""

    snapshot: Snapshot
    mean_length: float | None  # of the last training episodes, in steps; None: none has ended
    left: int  # candidates still to come, with this one


def judge(evaluator: Evaluator, selection: Selection, candidate: Candidate) -> float:
    """Scores a candidate. The selection keeps it if it is among the best.

    How much the evaluator plays depends on earlier candidates (the score that is needed, the budget
    that is spent). So candidates are scored in the order in which they were offered.
    """
    if candidate.mean_length is not None:
        evaluator.budget.played(candidate.mean_length)
    score = evaluator.scored(candidate.snapshot, selection.needed, candidate.left)
    selection.offer(score, candidate.snapshot)
    return score
