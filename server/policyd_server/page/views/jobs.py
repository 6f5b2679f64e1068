"""Jobs: the queue, how each job goes, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from policy_api.v1.training_pb2 import TrainingJob, TrainingProgress
from policyd_server.page.views import words

_PHASES = (
    TrainingProgress.TRAINING,
    TrainingProgress.EVALUATING,
    TrainingProgress.EXPORTING,
    TrainingProgress.COMPARING,
    TrainingProgress.PUBLISHING,
    TrainingProgress.PROMOTING,
)
ACTIVE = frozenset({TrainingJob.QUEUED, TrainingJob.RUNNING, TrainingJob.CANCELLING})
_UNDER_WAY = frozenset({TrainingJob.RUNNING, TrainingJob.CANCELLING})


@dataclass(frozen=True)
class Phase:
    """One step of a job."""

    name: str
    state: Literal["done", "now", "later"]


@dataclass(frozen=True)
class JobEntry:
    """One job."""

    job_id: str
    policy: str
    subject: str  # algorithm, environment and seed
    state: str  # in lower case
    created: str  # UTC
    place: int  # in the queue, from 1; 0: it is not queued
    can_cancel: bool
    fraction: float
    phases: tuple[Phase, ...]  # of a running job
    figures: str  # return, speed and remaining time in words
    outcome: str  # how it ended, in words
    version: int  # the version that it published; 0: none


def entries(jobs: Sequence[TrainingJob]) -> list[JobEntry]:
    """Those that run, then the queue in its order, then those that ended, the newest first."""
    running = [job for job in jobs if job.state in _UNDER_WAY]
    queued = sorted((j for j in jobs if j.state == TrainingJob.QUEUED), key=lambda j: j.queue_place)
    ended = [job for job in jobs if job.state not in ACTIVE]
    return [entry(job) for job in (*running, *queued, *ended)]


def entry(job: TrainingJob) -> JobEntry:
    """Returns the row of one job."""
    under_way = job.state in _UNDER_WAY
    return JobEntry(
        job_id=job.job_id,
        policy=job.spec.policy,
        subject=f"{job.spec.algorithm} on {job.spec.env_id}, seed {job.spec.seed}",
        state=TrainingJob.State.Name(job.state).lower(),
        created=words.moment(job.create_time),
        place=job.queue_place,
        can_cancel=job.state in (TrainingJob.QUEUED, TrainingJob.RUNNING),
        fraction=job.progress.fraction if under_way else float(job.state == TrainingJob.SUCCEEDED),
        phases=tuple(phases(job.progress.phase)) if under_way else (),
        figures=_figures(job.progress) if under_way else "",
        outcome=outcome(job),
        version=job.result.version,
    )


def phases(current: int) -> list[Phase]:
    """Returns all phases of a job, with the present one marked."""
    numbers = [int(phase) for phase in _PHASES]
    at = numbers.index(current) if current in numbers else -1
    names = [TrainingProgress.Phase.Name(phase).lower() for phase in _PHASES]
    return [
        Phase(name, "done" if place < at else "now" if place == at else "later")
        for place, name in enumerate(names)
    ]


def _figures(progress: TrainingProgress) -> str:
    told = []
    if progress.total_env_steps:
        told.append(f"{progress.env_steps:,} of {progress.total_env_steps:,} steps")
    if progress.HasField("mean_return"):
        told.append(f"mean return {words.number(progress.mean_return)}")
    if progress.env_steps_per_second:
        told.append(f"{words.number(progress.env_steps_per_second)} steps per second")
    if progress.HasField("eta"):
        told.append(f"about {words.lasting_of(progress.eta)} left")
    return ", ".join(told)


def outcome(job: TrainingJob) -> str:
    """Returns how the job ended; empty: it has not ended."""
    took = ""
    if job.end_time.seconds and job.start_time.seconds:
        took = f" after {words.lasting(job.end_time.seconds - job.start_time.seconds)}"
    if job.state == TrainingJob.SUCCEEDED:
        mean = words.number(job.result.evaluation.greedy.mean)
        told = f"version {job.result.version}{took}, greedy mean return {mean}"
        return f"{told}; {job.result.promotion_reason}" if job.result.promotion_reason else told
    if job.state == TrainingJob.FAILED:
        return f"{job.failure.reason}{took}: {job.failure.message}"
    return f"cancelled{took}" if job.state == TrainingJob.CANCELLED else ""
