"""Progress of a job without an end: not too often, and an estimate only where there is an end."""

from __future__ import annotations

import pytest

from policy_api.v1.training_pb2 import TrainingProgress
from policyd_trainer.experience.state import LearningState
from policyd_trainer.experience.telling import LearningClock
from tests.policyd_trainer.experience.world import Told


class Time:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        """The time of the clock."""
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def test_reports_of_one_phase_are_not_too_many(time: Time) -> None:
    """A hundred batches in a second give a few lines. Another phase is reported at once."""
    told = Told()
    clock = LearningClock(told, None, time)
    for step in range(100):
        time.now = step / 100
        clock.tell(LearningState(steps=step))
    assert len(told.progresses) == 4
    clock.tell(LearningState(steps=100), TrainingProgress.COMPARING)
    assert told.progresses[-1].phase == TrainingProgress.COMPARING


def test_it_says_that_it_waits_after_a_while(time: Time) -> None:
    """The job reports WAITING after two seconds without a batch; each batch starts them again."""
    told = Told()
    clock = LearningClock(told, None, time)
    state = LearningState()
    for now in (0.0, 1.9):
        time.now = now
        clock.wait(state)
    assert told.progresses == []
    clock.learned([1.0, 3.0])
    time.now = 3.0
    clock.wait(state)
    assert told.progresses == []
    time.now = 4.0
    clock.wait(state)
    assert [progress.phase for progress in told.progresses] == [TrainingProgress.WAITING]
    assert told.progresses[0].mean_return == 2.0


def test_with_an_end_there_is_a_fraction_and_an_estimate(time: Time) -> None:
    """After half of the steps in 10 s, the fraction is a half, and 10 s are left."""
    told = Told()
    clock = LearningClock(told, 1000, time)
    clock.tell(LearningState())
    time.now = 10.0
    clock.tell(LearningState(steps=500))
    last = told.progresses[-1]
    assert (last.fraction, last.total_env_steps, last.eta.ToSeconds()) == (0.5, 1000, 10)
    assert last.env_steps_per_second == 50
