"""From intervals to outcomes, look by look."""

import numpy as np
import pytest

from policy_api.v1.gate_pb2 import GateConfig, GateVerdict
from policyd_trainer.gate.config import Gate
from policyd_trainer.gate.decision import Play, Returns, compare, decide
from policyd_trainer.gate.intervals import Interval

BETTER = Gate.of(GateConfig())
NOT_WORSE = Gate.of(GateConfig(criterion=GateConfig.NOT_WORSE, margin=10))


@pytest.mark.parametrize(
    ("low", "high", "better", "not_worse"),
    [
        (1, 5, "OUTCOME_BETTER", "OUTCOME_BETTER"),
        (-5, 5, "OUTCOME_CANNOT_TELL", "OUTCOME_NOT_WORSE"),
        (0, 5, "OUTCOME_CANNOT_TELL", "OUTCOME_NOT_WORSE"),
        (-20, 5, "OUTCOME_CANNOT_TELL", "OUTCOME_CANNOT_TELL"),
        (-8, -5, "OUTCOME_WORSE", "OUTCOME_NOT_WORSE"),
        (-20, -5, "OUTCOME_WORSE", "OUTCOME_CANNOT_TELL"),
        (-20, -11, "OUTCOME_WORSE", "OUTCOME_WORSE"),
    ],
)
def test_the_interval_decides(low: float, high: float, better: str, not_worse: str) -> None:
    """The interval's position relative to 0 and to the margin decides."""
    interval = Interval((low + high) / 2, low, high)
    assert GateVerdict.Outcome.Name(decide(interval, BETTER)) == better
    assert GateVerdict.Outcome.Name(decide(interval, NOT_WORSE)) == not_worse


def test_modes_are_told_apart() -> None:
    """The difference is greedy, sampled, or the mean of both per seed."""
    one, two, zero = np.array([1.0, 2.0]), np.array([3.0, 6.0]), np.zeros(2)
    returns = Returns(one, zero, two, zero)
    assert returns.differences(GateConfig.GREEDY).tolist() == [1, 2]
    assert returns.differences(GateConfig.SAMPLED).tolist() == [3, 6]
    assert returns.differences(GateConfig.COMBINED).tolist() == [2, 4]


def _constant(challenger: float, champion: float, failing: int = -1) -> Play:
    """Episodes that all return the same, except for one of the champion's."""

    def play(indices: range) -> Returns:
        ours, theirs = np.full(len(indices), challenger), np.full(len(indices), champion)
        theirs[np.arange(indices.start, indices.stop) == failing] = 0.0
        return Returns(ours, theirs, ours, theirs)

    return play


@pytest.mark.parametrize(
    ("play", "gate", "episodes"),
    [
        (_constant(500, 500), BETTER, 68),  # the first look with at least 59 episodes
        (_constant(500, 500, failing=30), BETTER, 500),  # the champion can fail, so more may be found
        (_constant(499, 499), BETTER, 500),  # a higher return is possible
        (_constant(500, 500), NOT_WORSE, 230),  # unseen failures cost less than the margin
    ],
)
def test_a_tie_at_the_best_possible_return_ends_early(play: Play, gate: Gate, episodes: int) -> None:
    """Nothing can be better then. Otherwise every episode that may still decide is played."""
    comparison = compare(play, gate, seed=0, resamples=2000, best_return=500.0)
    assert len(comparison.returns.champion_greedy) == episodes
    better = gate.criterion == GateConfig.BETTER
    assert comparison.outcome == (
        GateVerdict.OUTCOME_CANNOT_TELL if better else GateVerdict.OUTCOME_NOT_WORSE
    )


def test_every_episode_is_played_once() -> None:
    """Blocks follow each other without a gap, up to the limit."""
    asked: list[int] = []

    def play(indices: range) -> Returns:
        asked.extend(indices)
        draw = np.random.default_rng(indices.start).normal(0, 1, (4, len(indices)))
        return Returns(*draw)

    comparison = compare(play, Gate.of(GateConfig(max_episodes=60)), seed=0, resamples=200)
    assert asked == list(range(60))
    assert comparison.looks == 4
    again = compare(play, Gate.of(GateConfig(max_episodes=60)), seed=0, resamples=200)
    assert again.interval == comparison.interval
