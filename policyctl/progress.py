"""Showing a job's progress: a live bar on a terminal, a line at each tenth in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from policy_api.v1.training_pb2 import TrainingJob, TrainingProgress
from policyctl.watching import TERMINAL


def show(updates: Iterable[TrainingJob]) -> TrainingJob | None:
    """Shows each update on stderr and returns the last one."""
    console = Console(stderr=True)
    return _bar(updates, console) if console.is_terminal else _lines(updates)


def describe(job: TrainingJob) -> str:
    """The state in one line: steps, mean return, speed and time left, as far as known."""
    progress, over = job.progress, job.state in TERMINAL
    parts = []
    if progress.total_env_steps:
        parts.append(f"{progress.env_steps:,} of {progress.total_env_steps:,} steps")
    if progress.HasField("mean_return"):
        parts.append(f"mean return {progress.mean_return:.1f}")
    if progress.env_steps_per_second and not over:
        parts.append(f"{progress.env_steps_per_second:,.0f} steps/s")
    if progress.HasField("eta") and not over:
        parts.append(f"{progress.eta.ToSeconds()} s left")
    return ", ".join(parts)


def phase(job: TrainingJob) -> str:
    """What the job does now, in one word."""
    if job.state == TrainingJob.RUNNING and job.progress.phase:
        return TrainingProgress.Phase.Name(job.progress.phase).lower()
    return TrainingJob.State.Name(job.state).lower()


def done(job: TrainingJob) -> float:
    """The part of the job that is done, 0 to 1."""
    return 1.0 if job.state == TrainingJob.SUCCEEDED else job.progress.fraction


def _bar(updates: Iterable[TrainingJob], console: Console) -> TrainingJob | None:
    last = None
    bar = Progress(
        TextColumn("{task.fields[phase]:<10}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.description}"),
        console=console,
    )
    with bar:
        task = bar.add_task("", total=1.0, phase="waiting")
        for job in updates:
            last = job
            bar.update(task, completed=done(job), description=describe(job), phase=phase(job))
    return last


def _lines(updates: Iterable[TrainingJob]) -> TrainingJob | None:
    last = None
    shown: tuple[str, int] | None = None
    for job in updates:
        last = job
        at = (phase(job), int(done(job) * 10))
        if at != shown:
            shown = at
            sys.stderr.write(f"{at[0]:<10} {done(job):4.0%}  {describe(job)}".rstrip() + "\n")
            sys.stderr.flush()
    return last
