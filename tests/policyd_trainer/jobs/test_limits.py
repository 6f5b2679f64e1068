"""Limits of jobs: what is asked for, what the trainer allows, what is reached."""

import pytest
from google.protobuf.duration_pb2 import Duration

from policy_api.v1.training_pb2 import JobLimits, TrainingProgress
from policyd import errors
from policyd_trainer.jobs.limits import Limits, check_priority, steps_exceeded


def test_what_is_unset_is_the_trainers() -> None:
    """Unset limits are the trainer's, or none if the trainer has none."""
    assert Limits().applied(JobLimits()) == JobLimits()
    applied = Limits(max_seconds=1.5, max_env_steps=9).applied(JobLimits())
    assert (applied.time_limit.ToMilliseconds(), applied.env_steps) == (1500, 9)
    asked = JobLimits(time_limit=Duration(seconds=1), env_steps=5)
    assert Limits(max_seconds=1.5, max_env_steps=9).applied(asked) == asked


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("limits.time_limit", JobLimits(time_limit=Duration(seconds=61))),
        ("limits.time_limit", JobLimits(time_limit=Duration())),
        ("limits.time_limit", JobLimits(time_limit=Duration(seconds=-1))),
        ("limits.env_steps", JobLimits(env_steps=101)),
        ("limits.env_steps", JobLimits(env_steps=-1)),
    ],
)
def test_more_than_the_trainer_allows_is_refused(field: str, asked: JobLimits) -> None:
    """The error names the field."""
    with pytest.raises(errors.InvalidArgument) as refused:
        Limits(max_seconds=60, max_env_steps=100).applied(asked)
    assert [v.field for v in refused.value.violations] == [field]


def test_priorities_are_bounded() -> None:
    """Priorities are from -100 to 100."""
    assert check_priority(-100) == -100
    with pytest.raises(errors.InvalidArgument, match="priority"):
        check_priority(101)


def test_a_run_that_ends_within_its_limit_is_not_stopped() -> None:
    """Whole rollouts may exceed the total by a few steps."""
    limits = JobLimits(env_steps=1000)
    assert steps_exceeded(limits, TrainingProgress(env_steps=1010, total_env_steps=1000)) is None
    assert steps_exceeded(limits, TrainingProgress(env_steps=999, total_env_steps=5000)) is None
    assert steps_exceeded(JobLimits(), TrainingProgress(env_steps=999, total_env_steps=5000)) is None
    for total in (5000, 0):  # 0: a job that learns from clients has no end
        failure = steps_exceeded(limits, TrainingProgress(env_steps=1000, total_env_steps=total))
        assert failure is not None
        assert failure.reason == "ENV_STEP_LIMIT"
