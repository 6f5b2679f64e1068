"""From intervals to outcomes, look by look."""

import numpy as np
import pytest

from policy_api.v1.gate_pb2 import GateConfig, GateVerdict
from trainer.gate.config import Gate
from trainer.gate.decision import Returns, compare, decide
from trainer.gate.intervals import Interval

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
    """By where it lies to 0 and to the margin."""
    interval = Interval((low + high) / 2, low, high)
    assert GateVerdict.Outcome.Name(decide(interval, BETTER)) == better
    assert GateVerdict.Outcome.Name(decide(interval, NOT_WORSE)) == not_worse


def test_modes_are_told_apart() -> None:
    """Greedy, sampled, or the mean of both per seed."""
    one, two, zero = np.array([1.0, 2.0]), np.array([3.0, 6.0]), np.zeros(2)
    returns = Returns(one, zero, two, zero)
    assert returns.differences(GateConfig.GREEDY).tolist() == [1, 2]
    assert returns.differences(GateConfig.SAMPLED).tolist() == [3, 6]
    assert returns.differences(GateConfig.COMBINED).tolist() == [2, 4]


def test_every_episode_is_played_once() -> None:
    """Blocks follow each other without gap, up to the limit."""
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
