"""Simulated canaries: thousands at once, with the rules and the interval that the server uses.

Time is counted in episodes that begin. An episode lasts as many steps as its return counts, so that
better episodes are later to be known; a part of the outcomes never comes, and such an episode ends
by silence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policyd.counted import counted
from policyd.evidence.canary import MISSING_MARGIN, REPORTED_ERROR, RETURNS_ERROR, Steps
from policyd.evidence.intervals import Floats
from policyd.evidence.sequential import Arms, difference_bounds

TRAFFIC = 20_000  # episodes planned, the champion's included
LOOK = 50  # episodes from look to look
SILENCE = 500  # an episode without an outcome is given up after so many later ones have begun
DELAY = 100.0  # mean of an exponential delay of outcomes, in addition to the episode's length
MISSING = 0.1
STEPS = Steps(first=0.05, last=0.5)
RUNNING, PROMOTED, ROLLED_BACK = 0, 1, 2


@dataclass(frozen=True)
class Case:
    """A champion and a canary, each with its probability to survive a step.

    An episode has at most `length` steps. Its return is the number of steps survived. With length 1
    that is a click, or none.
    """

    name: str
    length: int
    champion: float
    canary: float

    @property
    def truth(self) -> float:
        """The difference of the mean returns."""
        return _mean(self.canary, self.length) - _mean(self.champion, self.length)


@dataclass(frozen=True)
class Outcomes:
    """How K canaries of one case ended."""

    case: Case
    ends: np.ndarray  # [K]
    served: np.ndarray  # [K], episodes in which the canary acted
    planned: float  # episodes in which a canary that is never stopped acts

    def share(self, end: int) -> float:
        """The share of canaries with this end."""
        return float((self.ends == end).mean())


def cases() -> list[Case]:
    """Better, equal, slightly worse and much worse, at 1, 20 and 200 steps."""
    found = []
    for length, champion, better, slightly, much in (
        (1, 0.30, 0.40, 0.285, 0.05),
        (20, 0.95, 0.97, 0.947, 0.70),
        (200, 0.995, 0.998, 0.9948, 0.95),
    ):
        for name, canary in (
            ("better", better), ("equal", champion), ("slightly worse", slightly), ("much worse", much)
        ):  # fmt: skip
            found.append(Case(f"{counted(length, 'steps')}, {name}", length, champion, canary))
    return found


def simulate(case: Case, count: int, seed: int, chunk: int = 100) -> Outcomes:
    """Simulates `count` canaries of a case, `chunk` at a time."""
    parts = [
        _chunk(case, min(chunk, count - start), np.random.default_rng([seed, case.length, start]))
        for start in range(0, count, chunk)
    ]
    ends, served = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return Outcomes(case, ends, served, _planned())


class _Sums:
    """Running moments of K arms."""

    def __init__(self, k: int) -> None:
        self.n, self.total, self.squares = np.zeros(k), np.zeros(k), np.zeros(k)
        self.low, self.high = np.full(k, np.inf), np.full(k, -np.inf)

    def add(self, values: Floats, chosen: np.ndarray) -> None:
        kept = np.where(chosen, values, 0.0)
        self.n += chosen.sum(axis=1)
        self.total += kept.sum(axis=1)
        self.squares += (kept * kept).sum(axis=1)
        self.low = np.minimum(self.low, np.where(chosen, values, np.inf).min(axis=1, initial=np.inf))
        self.high = np.maximum(self.high, np.where(chosen, values, -np.inf).max(axis=1, initial=-np.inf))

    def arms(self) -> Arms:
        n = np.maximum(self.n, 1)
        mean = self.total / n
        variance = np.maximum(0, self.squares / n - mean**2) * n / np.maximum(1, n - 1)
        return Arms(self.n, mean, variance, self.low, self.high)


def _chunk(case: Case, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Simulates k canaries. Returns their ends [k] and the episodes that they served [k]."""
    mine = np.zeros((k, TRAFFIC), np.bool_)
    returns, known = np.zeros((k, TRAFFIC)), np.zeros((k, TRAFFIC))  # known: when it and all before are known
    reported = rng.random((k, TRAFFIC)) >= MISSING
    ends, served = np.zeros(k, np.int64), np.zeros(k)
    compared = np.zeros(k, np.int64)  # how many episodes were compared, in their order
    arms = {name: (_Sums(k), _Sums(k)) for name in ("returns", "reported")}
    for begin in range(0, TRAFFIC, LOOK):
        now, block = begin + LOOK, slice(begin, begin + LOOK)
        counted = arms["reported"][1].n.astype(int)
        share = np.where(ends == RUNNING, [STEPS.share(int(n)) for n in counted], 0.0)
        mine[:, block] = rng.random((k, LOOK)) < share[:, None]
        survival = np.where(mine[:, block], case.canary, case.champion)
        returns[:, block] = _draw(survival, case.length, rng)
        lasts = np.where(
            reported[:, block],
            returns[:, block] + rng.exponential(DELAY, (k, LOOK)).clip(max=SILENCE),
            SILENCE,
        )
        finish = np.arange(begin, now) + lasts
        before = known[:, begin - 1 : begin] if begin else np.zeros((k, 1))
        known[:, block] = np.maximum.accumulate(np.maximum(finish, before), axis=1)
        served += mine[:, block].sum(axis=1)
        start = int(compared.min())
        window = slice(start, now)
        after = start + (known[:, window] <= now).sum(axis=1)
        index = np.arange(start, now)
        new = (index >= compared[:, None]) & (index < after[:, None])
        compared = after
        for arm in (0, 1):
            chosen = new & (mine[:, window] == bool(arm))
            arms["reported"][arm].add(reported[:, window].astype(float), chosen)
            arms["returns"][arm].add(returns[:, window], chosen & reported[:, window])
        ends = np.where(ends == RUNNING, _judged(arms), ends)
        if (ends != RUNNING).all():
            break
    return ends, served


def _judged(arms: dict[str, tuple[_Sums, _Sums]]) -> np.ndarray:
    """The verdict of policyd.evidence.canary.judge for each canary."""
    (champion, canary), (theirs, mine) = arms["returns"], arms["reported"]
    low, high = difference_bounds(champion.arms(), canary.arms(), RETURNS_ERROR)
    _, silent = difference_bounds(theirs.arms(), mine.arms(), REPORTED_ERROR)
    worse = (high < 0) | (silent < -MISSING_MARGIN)
    return np.where(worse, ROLLED_BACK, np.where(low > 0, PROMOTED, RUNNING))


def _draw(survival: Floats, length: int, rng: np.random.Generator) -> Floats:
    """Steps survived: geometric, but at most `length`."""
    steps = np.floor(np.log(rng.random(survival.shape)) / np.log(survival))
    return np.minimum(steps, length)


def _mean(survival: float, length: int) -> float:
    return sum(survival**step for step in range(1, length + 1))


def _planned() -> float:
    """The expected number of episodes of a canary that is never stopped, without delay."""
    served = 0.0
    for _ in range(TRAFFIC):
        served += STEPS.share(int(served))
    return served
