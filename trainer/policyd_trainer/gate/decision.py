"""From the returns of paired episodes to a decision, look by look. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from policy_api.v1.gate_pb2 import GateConfig, GateVerdict
from policyd_trainer.gate.config import Gate
from policyd_trainer.gate.intervals import RESAMPLES, Floats, Interval, mean_interval, return_scale

RARE, CHANCE = 0.05, 0.05  # share of episodes that fail, and the probability of having seen none of them
ENOUGH = math.ceil(math.log(CHANCE) / math.log(1 - RARE))  # 59 episodes

Outcome: TypeAlias = "GateVerdict.Outcome.ValueType"


@dataclass(frozen=True)
class Returns:
    """Undiscounted returns of both policies on the same seeds, each [n]."""

    challenger_greedy: Floats
    champion_greedy: Floats
    challenger_sampled: Floats
    champion_sampled: Floats

    @classmethod
    def joined(cls, parts: Sequence[Returns]) -> Returns:
        """The parts one after the other."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__)
        )

    @property
    def scale(self) -> float:
        """The range of all returns, with 0 in it."""
        return return_scale(*(getattr(self, name) for name in self.__dataclass_fields__))

    def differences(self, mode: GateConfig.Mode.ValueType) -> Floats:
        """Challenger minus champion per seed [n], of one mode or the mean of both."""
        greedy = self.challenger_greedy - self.champion_greedy
        sampled = self.challenger_sampled - self.champion_sampled
        if mode == GateConfig.GREEDY:
            return greedy
        return sampled if mode == GateConfig.SAMPLED else (greedy + sampled) / 2


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison."""

    outcome: Outcome
    interval: Interval  # for the mode that decides, valid after any number of looks
    looks: int
    returns: Returns


# Plays a range of episode indices with both policies in both modes.
Play = Callable[[range], Returns]


def compare(
    play: Play, gate: Gate, *, seed: int, resamples: int = RESAMPLES, best_return: float = math.inf
) -> Comparison:
    """Plays block after block until the interval decides, or nothing can change any more.

    It plays at most max_episodes.

    Args:
        play: plays a range of episodes with both policies in both modes.
        gate: the rules.
        seed: for the resampling.
        resamples: how many the bootstrap takes.
        best_return: no episode returns more than this.
    """
    parts: list[Returns] = []
    played = 0
    for look, episodes in enumerate(gate.looks, start=1):
        parts.append(play(range(played, episodes)))
        played = episodes
        returns = Returns.joined(parts)
        differences = returns.differences(gate.mode)
        interval = mean_interval(
            differences,
            tail=gate.tail,
            unseen_tail=gate.unseen_tail,
            scale=returns.scale,
            seed=seed + look,
            resamples=resamples,
        )
        outcome = decide(interval, gate)
        if outcome != GateVerdict.OUTCOME_CANNOT_TELL or hopeless(returns, gate, best_return):
            break
    return Comparison(outcome, interval, look, returns)


def hopeless(returns: Returns, gate: Gate, best_return: float) -> bool:
    """Whether more episodes could hardly make the challenger better.

    If no return can be higher than the champion's, the challenger can win only by episodes that the
    champion fails later. The champion has failed none of n episodes in each mode. If it failed a
    share of `RARE` or more, that would have had a probability of at most `CHANCE`. With NOT_WORSE
    only the interval decides.
    """
    if gate.criterion != GateConfig.BETTER or len(returns.champion_greedy) < ENOUGH:
        return False
    return bool(min(returns.champion_greedy.min(), returns.champion_sampled.min()) >= best_return)


def decide(interval: Interval, gate: Gate) -> Outcome:
    """The outcome of an interval: above the threshold, below it, or neither."""
    if interval.low > 0:
        return GateVerdict.OUTCOME_BETTER
    if interval.low > gate.threshold:
        return GateVerdict.OUTCOME_NOT_WORSE
    # For BETTER the threshold is 0. A clearly worse policy ends the comparison; an equal one never
    # does.
    if interval.high < gate.threshold:
        return GateVerdict.OUTCOME_WORSE
    return GateVerdict.OUTCOME_CANNOT_TELL
