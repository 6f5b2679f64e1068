"""Candidates along a run: each gets a score, and perhaps a place in the selection."""

from __future__ import annotations

from dataclasses import dataclass

from policyd_trainer.evaluation.evaluator import Evaluator
from policyd_trainer.evaluation.selection import Selection, Snapshot


@dataclass(frozen=True)
class Candidate:
    """A policy to score, and what was known when it was offered."""

    snapshot: Snapshot
    mean_length: float | None  # of the last training episodes, steps; None: none has ended
    left: int  # candidates to come, this one included


def judge(evaluator: Evaluator, selection: Selection, candidate: Candidate) -> float:
    """The candidate's score; the selection keeps it if it is among the best.

    What the evaluator plays depends on earlier candidates (a score that is needed, a budget that is
    spent), so they are judged in the order in which they were offered.
    """
    if candidate.mean_length is not None:
        evaluator.budget.played(candidate.mean_length)
    score = evaluator.scored(candidate.snapshot, selection.needed, candidate.left)
    selection.offer(score, candidate.snapshot)
    return score
