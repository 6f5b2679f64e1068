"""`policyctl jobs`: the training jobs and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from policy_api.v1.training_pb2 import TrainingJob
from policyctl import outcome, progress
from policyctl.durations import DURATION
from policyctl.exits import Exit
from policyctl.plain import plain
from policyctl.session import Session, columns, json_flag, pass_session


@click.group()
def jobs() -> None:
    """List, show, watch and cancel training jobs."""


@jobs.command("list")
@click.option("--policy", default="", help="Only jobs of this policy.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@json_flag
@pass_session
def list_jobs(session: Session, policy: str, limit: int) -> None:
    """List the newest jobs."""
    with session.client() as client:
        found = client.list_training_jobs(policy, limit=limit)
    rows = [
        (j.job_id, j.spec.policy, j.spec.env_id, progress.phase(j), f"{progress.done(j):.0%}",
         j.result.version or "-", j.create_time.ToJsonString()[:19])
        for j in found
    ]  # fmt: skip
    header = ("JOB", "POLICY", "ENV", "STATE", "DONE", "VERSION", "CREATED")
    session.show({"jobs": [plain(j) for j in found]}, columns(header, rows) if rows else "no jobs")


@jobs.command()
@click.argument("job_id")
@json_flag
@pass_session
def show(session: Session, job_id: str) -> None:
    """Show one job."""
    with session.client() as client:
        job = client.get_training_job(job_id)
    session.show(plain(job), outcome.text(job))


@jobs.command()
@click.argument("job_id")
@click.option("--timeout", type=DURATION, help="Stop watching after this long, such as 30m.")
@json_flag
@pass_session
def watch(session: Session, job_id: str, timeout: float | None) -> Exit:
    """Follow one job to its end; with --json one line for each change. Ends as `retrain --wait` does."""
    with session.client() as client:
        updates = client.watch_training_job(job_id, timeout=timeout)
        job = progress.show(_printed(updates) if session.json else updates)
    assert job is not None  # a watch ends with a terminal state or an error
    if not session.json:
        click.echo(outcome.text(job))
    return outcome.Outcome.of(job).code


@jobs.command()
@click.argument("job_id")
@json_flag
@pass_session
def cancel(session: Session, job_id: str) -> None:
    """Ask for one job's end; a finished job stays as it is."""
    with session.client() as client:
        job = client.cancel_training_job(job_id)
    session.show(plain(job), f"{job.job_id}: {TrainingJob.State.Name(job.state).lower()}")


def _printed(updates: Iterator[TrainingJob]) -> Iterator[TrainingJob]:
    for job in updates:
        click.echo(json.dumps(plain(job)))
        yield job
