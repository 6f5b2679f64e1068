"""`policyctl jobs`: lists, shows, watches and cancels training jobs, and prints their logs."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator

import click

from policy_api.v1.training_pb2 import TrainingJob
from policyd.cli import outcome, progress
from policyd.cli.durations import DURATION
from policyd.cli.exits import Exit
from policyd.cli.message_json import as_json
from policyd.cli.output import write, write_log
from policyd.cli.session import Session, columns, json_flag, pass_session
from policyd.cli.times import moment
from policyd.runtime.commands import WholeSummaries

_HEADER = (
    *("JOB", "POLICY", "ENV", "ALGORITHM", "STATE", "DONE", "RETURN", "TOOK", "VERSION", "CREATED", "BY"),
)


@click.group(cls=WholeSummaries)
def jobs() -> None:
    """List, show, watch and cancel training jobs, and print their logs."""


@jobs.command("list")
@click.option("--policy", default="", help="Only jobs of this policy.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many jobs.")
@json_flag
@pass_session
def list_jobs(session: Session, policy: str, limit: int) -> None:
    """List the newest jobs."""
    with session.client() as client:
        found = client.list_training_jobs(policy, limit=limit)
    entries = [_entry(job) for job in found]
    session.show({"jobs": [as_json(j) for j in found]}, columns(_HEADER, entries) if entries else "no jobs")


@jobs.command()
@click.argument("job_id")
@json_flag
@pass_session
def show(session: Session, job_id: str) -> None:
    """Show one job."""
    with session.client() as client:
        job = client.get_training_job(job_id)
    session.show(as_json(job), outcome.text(job))


@jobs.command()
@click.argument("job_id")
@click.option("--timeout", type=DURATION, help="Stop watching after this long, such as 30m.")
@json_flag
@pass_session
def watch(session: Session, job_id: str, timeout: float | None) -> Exit:
    """Watch one job until it ends.

    With --json this prints one line for each change. The exit code is that of `retrain --wait`.
    """
    with session.client() as client:
        updates = client.watch_training_job(job_id, timeout=timeout)
        job = progress.show(_printed(updates) if session.json else updates)
    assert job is not None  # a watch ends with a terminal state or raises
    if not session.json:
        write(outcome.text(job))
    return outcome.Outcome.of(job).code


@jobs.command()
@click.argument("job_id")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written later, until the job ends.")
@json_flag
@pass_session
def logs(session: Session, job_id: str, follow: bool) -> None:
    """Print what a job and its environment have written.

    With --json this prints one line for each piece: {"log": "..."}.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a piece may end in the middle of a character
    with session.client() as client:
        for content in client.read_training_job_log(job_id, follow=follow):
            text = decoder.decode(content)
            if session.json:
                write(json.dumps({"log": text}))
            else:
                write_log(text)


@jobs.command()
@click.argument("job_id")
@json_flag
@pass_session
def cancel(session: Session, job_id: str) -> None:
    """Ask for one job's end. A finished job stays as it is."""
    with session.client() as client:
        job = client.cancel_training_job(job_id)
    session.show(as_json(job), f"{job.job_id}: {TrainingJob.State.Name(job.state).lower()}")


def _entry(job: TrainingJob) -> tuple[object, ...]:
    spec = job.spec
    what = (job.job_id, spec.policy, spec.env_id or "clients", spec.algorithm or "-")
    how = (
        progress.phase(job),
        progress.percent(job).strip() or "-",
        progress.mean_return(job),
        progress.duration(job),
    )
    return (*what, *how, job.result.version or "-", moment(job.create_time), job.requested_by or "-")


def _printed(updates: Iterator[TrainingJob]) -> Iterator[TrainingJob]:
    for job in updates:
        write(json.dumps(as_json(job)))
        yield job
