"""How much runs, waits and is tried, and what ends a job before its time."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from policy_api.v1.training_pb2 import JobLimits, TrainingFailure, TrainingProgress
from policyd.errors import InvalidArgument

MAX_PRIORITY = 100


@dataclass(frozen=True)
class Limits:
    """The limits of one trainer."""

    concurrency: int = 1  # jobs that run side by side
    max_continuous: int = 4  # jobs that learn from experience, in addition to those
    max_queued: int = 100  # jobs that wait
    max_attempts: int = 3  # attempts in a row without progress; then the job fails
    max_seconds: float | None = None  # run time of one job over all its attempts; None: no limit
    max_env_steps: int | None = None  # environment steps of one job's training; None: no limit
    stop_seconds: float = 10.0  # time for workers to write a checkpoint when the trainer stops

    def applied(self, asked: JobLimits, *, continuous: bool = False) -> JobLimits:
        """The limits of a job whose request asked for these.

        A job without an end has only the limits that the request names.

        Raises:
            InvalidArgument: the request asks for more than the trainer allows.
        """
        seconds = seconds_of(asked)
        if continuous:
            if asked.HasField("time_limit"):
                _require("limits.time_limit", f"{seconds} s", seconds or 0, None, "s")
            return asked
        if asked.HasField("time_limit"):
            _require("limits.time_limit", f"{seconds} s", seconds or 0, self.max_seconds, "s")
        if asked.env_steps:
            _require("limits.env_steps", asked.env_steps, asked.env_steps, self.max_env_steps, "steps")
        limits = JobLimits(env_steps=asked.env_steps or self.max_env_steps or 0)
        if (chosen := seconds or self.max_seconds) is not None:
            limits.time_limit.CopyFrom(_duration(chosen))
        return limits


def check_priority(priority: int) -> int:
    """Returns the priority. Raises InvalidArgument if it is out of range."""
    if abs(priority) > MAX_PRIORITY:
        raise InvalidArgument.of("priority", got=priority, wanted=f"-{MAX_PRIORITY} to {MAX_PRIORITY}")
    return priority


def seconds_of(limits: JobLimits) -> float | None:
    """The time limit in seconds; None if there is none."""
    return limits.time_limit.ToNanoseconds() / 1e9 if limits.HasField("time_limit") else None


def time_exceeded(limits: JobLimits) -> TrainingFailure:
    """The failure of a job whose workers ran too long."""
    message = f"the job's time limit of {seconds_of(limits):g} s is reached"
    return TrainingFailure(reason="TIME_LIMIT", message=message)


def steps_exceeded(limits: JobLimits, progress: TrainingProgress) -> TrainingFailure | None:
    """The failure of a job that took too many steps.

    None if it did not, or if it is at its end anyway. A job without an end has a total of 0.
    """
    if not limits.env_steps or progress.env_steps < limits.env_steps:
        return None
    if 0 < progress.total_env_steps <= limits.env_steps:
        return None
    message = f"the job's limit of {limits.env_steps} environment steps is reached"
    return TrainingFailure(reason="ENV_STEP_LIMIT", message=message)


def _require(field: str, got: object, value: float, largest: float | None, unit: str) -> None:
    if value <= 0 or (largest is not None and value > largest):
        wanted = "above 0" if largest is None else f"above 0, at most {largest:g} {unit}"
        raise InvalidArgument.of(field, got=got, wanted=wanted)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
