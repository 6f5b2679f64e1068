"""Shows a job's progress: a live bar on a terminal, or a line at each 10% in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from policy_api.v1.training_pb2 import TrainingJob, TrainingProgress, TrainingSpec
from policyd.cli.times import clock
from policyd.client.watching import TERMINAL
from policyd.counted import counted

#: Seconds between two lines about a job without an end.
SECONDS = 5.0


def show(updates: Iterable[TrainingJob]) -> TrainingJob | None:
    """Shows each update on stderr and returns the last one."""
    console = Console(stderr=True)
    return _bar(updates, console) if console.is_terminal else _lines(updates)


def describe(job: TrainingJob) -> str:
    """Returns the progress in one line: steps, mean return, speed and time left, if known."""
    progress, over = job.progress, job.state in TERMINAL
    parts = [place(job)] if job.queue_place else []
    if progress.HasField("learning"):
        parts += _learning(progress)
    if progress.total_env_steps:
        parts.append(f"{progress.env_steps:,} of {counted(progress.total_env_steps, 'steps')}")
    if progress.evaluation_steps:
        parts.append(f"{progress.evaluation_steps:,} of at most {progress.total_evaluation_steps:,} to judge")
    if progress.HasField("mean_return"):
        parts.append(f"mean return {progress.mean_return:.1f}")
    if progress.env_steps_per_second and not over:
        parts.append(f"{progress.env_steps_per_second:,.0f} steps/s")
    if progress.HasField("eta") and not over:
        parts.append(f"{progress.eta.ToSeconds()} s left")
    return ", ".join(parts)


def _learning(progress: TrainingProgress) -> list[str]:
    """Returns what a job without an end has done so far."""
    learning = progress.learning
    parts = [f"{counted(learning.batches, 'batches')}, {counted(progress.env_steps, 'steps')} of clients"]
    if learning.version:
        parts.append(f"version {learning.version}")
    if learning.dropped_episodes:
        parts.append(f"{counted(learning.dropped_episodes, 'episodes')} dropped")
    return parts


def is_endless(job: TrainingJob) -> bool:
    """Returns whether the job has no known end."""
    return job.spec.source == TrainingSpec.EXPERIENCE and not job.progress.total_env_steps


def phase(job: TrainingJob) -> str:
    """Returns the job's phase in one word."""
    if job.state == TrainingJob.RUNNING and job.progress.phase:
        return TrainingProgress.Phase.Name(job.progress.phase).lower()
    return TrainingJob.State.Name(job.state).lower()


def place(job: TrainingJob) -> str:
    """Returns a queued job's place and what it waits for; empty for other jobs."""
    if not job.queue_place:
        return ""
    waiting = f", waits until {' or '.join(job.waits_for)} has ended" if job.waits_for else ""
    return f"number {job.queue_place} in the queue{waiting}"


def mean_return(job: TrainingJob) -> str:
    """Returns the version's greedy mean return, else the training's last one, else `-`."""
    if job.HasField("result") and job.result.evaluation.greedy.episodes:
        return f"{job.result.evaluation.greedy.mean:.2f}"
    return f"{job.progress.mean_return:.2f}" if job.progress.HasField("mean_return") else "-"


def duration(job: TrainingJob) -> str:
    """Returns the time from the start to the end, or until now; `-` before the start."""
    if not job.HasField("start_time"):
        return "-"
    end = job.end_time.ToNanoseconds() / 1e9 if job.HasField("end_time") else time.time()
    return clock(end - job.start_time.ToNanoseconds() / 1e9)


def done(job: TrainingJob) -> float:
    """Returns the finished fraction of the job, 0 to 1."""
    return 1.0 if job.state == TrainingJob.SUCCEEDED else job.progress.fraction


def percent(job: TrainingJob) -> str:
    """Returns the finished part in percent; empty for a job without an end."""
    return "" if is_endless(job) else f"{done(job):4.0%}"


def _bar(updates: Iterable[TrainingJob], console: Console) -> TrainingJob | None:
    last = None
    bar = Progress(
        TextColumn("{task.fields[phase]:<10}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[percent]}"),
        TextColumn("{task.description}", markup=False),
        console=console,
    )
    with bar:
        task = bar.add_task("", total=1.0, phase="waiting", percent="")
        for job in updates:
            last = job
            # None: the bar only moves, and shows no fraction
            total = None if is_endless(job) and job.state not in TERMINAL else 1.0
            bar.update(
                task,
                completed=done(job),
                total=total,
                description=describe(job),
                phase=phase(job),
                percent=percent(job),
            )
    return last


def _lines(updates: Iterable[TrainingJob]) -> TrainingJob | None:
    """Prints a line at each phase and at each 10%.

    A job without an end gets one per 5 s at most.
    """
    last = None
    shown: tuple[str, int] | None = None
    told = float("-inf")
    for job in updates:
        last = job
        endless = is_endless(job) and job.state not in TERMINAL
        at = (phase(job), job.progress.learning.version if endless else int(done(job) * 10))
        if at != shown and (not endless or time.monotonic() - told >= SECONDS):
            shown, told = at, time.monotonic()
            sys.stderr.write(f"{at[0]:<10} {percent(job)}  {describe(job)}".rstrip() + "\n")
            sys.stderr.flush()
    return last
