"""What the age of the clients' actions costs, with and without correction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from benchmarks.live.lab import Lab
from benchmarks.live.running import NEAR, score
from benchmarks.live.worlds import Task
from policyd_trainer.experience.batches import Correction

Kind = Literal["weighted", "clip", "vtrace", "none"]
RECENT = 100  # episodes that a point of the curve covers


@dataclass
class Run:
    """One policy that learned in the lab."""

    task: str
    seed: int
    lag: int
    correction: str
    batch_steps: int
    reached: int | None = None  # decisions until a version reached the target
    final: float = 0.0  # mean return of the last version's sampled actions
    curve: list[tuple[int, float]] = field(default_factory=list)  # (decisions, mean of the last returns)


def run(
    task: Task, seed: int, decisions: int, *, lag: int = 0, kind: Kind = "weighted", batch_steps: int = 0
) -> Run:
    """Learns from `decisions` decisions. Versions near the target are evaluated."""
    lab = Lab(task, seed, lag=lag, correction=Correction(kind), batch_steps=batch_steps)
    found = Run(task.name, seed, lag, kind, batch_steps)
    recent: list[float] = []
    for batch in lab.batches():
        recent = (recent + [float(each.sequence.rewards.sum()) for each in batch])[-RECENT:]
        mean = float(np.mean(recent))
        found.curve.append((lab.decisions, mean))
        if found.reached is None and mean >= NEAR * task.target:
            value = score(task, lab.live, lab.live.snapshot(), 7 * seed + len(found.curve))
            if value >= task.target:
                found.reached = lab.decisions
        if lab.decisions >= decisions:
            break
    found.final = score(task, lab.live, lab.live.snapshot(), 7 * seed)
    return found
