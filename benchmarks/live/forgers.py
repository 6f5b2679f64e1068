"""Callers that lie about rewards, with the policy's caps on and off.

Ten callers play a bandit; one of them lies. It says that the arm which is seldom best always wins
the most that the range allows, and that every other arm loses. It plays ten times as much as each
of the others. With caps on, the range of rewards is the world's, and no caller has more than a
tenth of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.live.lab import Lab
from benchmarks.live.running import expected_wins
from benchmarks.live.worlds import ARMS, Task, contexts, optimum, win_chances
from policyd_trainer.experience.selection import Candidate, Dropped, within_shares

CALLERS = 10
EAGER = 10  # the liar reports so many times the episodes of an honest caller
LIE = 10.0  # the reward that a liar reports where the range of rewards is not limited
FAR = 1e30  # the observation that a liar reports
CAP = 0.1


@dataclass
class Moved:
    """What the policy learned in one case."""

    case: str
    seed: int
    value: float  # expected reward of the policy in the true world
    lost: float  # lost share of the optimum
    favoured: float  # probability of the arm that the liar wants
    dropped: dict[str, int]


class LyingLab(Lab):
    """A lab in which a tenth of the callers lies; the share of each caller may be capped."""

    def __init__(self, task: Task, seed: int, *, liars: bool, capped: bool, far: bool) -> None:
        super().__init__(task, seed)
        self._liars, self._capped, self._far = liars, capped, far
        self._names = np.random.default_rng([seed, 3])
        self.dropped = Dropped()

    def chosen(self, found: list[Candidate]) -> list[Candidate]:
        """Gives each episode to a caller, who reports its reward, and applies the caps."""
        told = [self._told(candidate) for candidate in found]
        return within_shares(told, CAP if self._capped else 0, 0, self.dropped)

    def _told(self, candidate: Candidate) -> Candidate:
        lies = self._liars and self._names.random() < EAGER / (EAGER + CALLERS - 1)
        if not lies:
            return replace(candidate, caller=f"honest-{self._names.integers(CALLERS - 1)}")
        most = 1.0 if self._capped else LIE
        reward = np.where(candidate.sequence.actions == worst(), most, 0.0).astype(np.float32)
        told = replace(candidate.sequence, rewards=reward)
        if self._far:
            told = replace(told, observations=np.full_like(told.observations, FAR))
        return Candidate(told, "liar", "")


def worst() -> int:
    """The arm that is best in the fewest contexts, which the liar favours."""
    chances = win_chances(contexts(200))
    best = np.bincount(chances.argmax(axis=1), minlength=len(ARMS))
    return int(best.argmin())


def measure(task: Task, seed: int, decisions: int) -> list[Moved]:
    """Learns four policies.

    The cases: all callers honest, a liar under caps, a liar with far observations under caps, and a
    liar without caps.
    """
    cases = {
        "honest": (False, True, False),
        "liar, caps on": (True, True, False),
        "far liar, caps on": (True, True, True),
        "liar, caps off": (True, False, False),
    }
    found = []
    for case, (liars, capped, far) in cases.items():
        lab = LyingLab(task, seed, liars=liars, capped=capped, far=far)
        for _ in lab.batches():
            if lab.decisions >= decisions:
                break
        snapshot = lab.live.snapshot()
        value, favoured = expected_wins(lab.live, snapshot), _chance(lab)
        lost = 1 - value / optimum()
        found.append(Moved(case, seed, value, lost, favoured, dict(lab.dropped.episodes)))
    return found


def _chance(lab: Lab) -> float:
    snapshot = lab.live.snapshot()
    rows = contexts(50)
    policy = snapshot.policy(lab.live.specs, lab.live.spaces.codec.distribution)
    logits = policy.outputs(rows if policy.scaling is None else policy.scaling(rows))
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return float((chances / chances.sum(axis=1, keepdims=True))[:, worst()].mean())
