"""`policyctl learn`: a policy learns from its clients' episodes, until the job is cancelled."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from policy_api.v1 import experience_pb2, training_pb2
from policyd.cli import outcome, progress
from policyd.cli.commands.retrain import parse_setting
from policyd.cli.durations import DURATION
from policyd.cli.exits import Exit
from policyd.cli.message_json import as_json
from policyd.cli.outcome import Outcome
from policyd.cli.output import write
from policyd.cli.session import Session, json_flag, pass_session, whoami
from policyd.cli.space_text import read_spaces
from policyd.client.client import PolicyClient
from policyd.client.watching import TERMINAL
from policyd.errors import DeadlineExceeded, NotFound, PolicydError, Unavailable

LEARN = experience_pb2.ExperienceConfig.LEARN
#: Seconds for the first version to be published and served.
FIRST_SECONDS = 120.0
#: Seconds after which the command stops waiting for a queued job to start.
QUEUED_SECONDS = 5.0


@click.command()
@click.option("--policy", required=True, help="The policy that learns.")
@click.option(
    "--spaces",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="FILE with what a policy without a version sees and does, as Gymnasium prints it.",
)
@click.option(
    "--algorithm",
    type=click.Choice(["reinforce", "a2c"]),
    help="Learning algorithm.  [default: the version's, or a2c]",
)
@click.option("--env", default="", help="What the gate plays on the trainer before the alias moves.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Seed of a first version.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting; may be repeated.")
@click.option("--alias", default="champion", show_default=True, help="The alias that follows the learning.")
@click.option("--promote/--no-promote", default=True, help="Whether the alias follows.  [default: promote]")
@click.option("--min-return", type=float, help="With --env: smallest mean return that promotion needs.")
@click.option("--priority", type=click.IntRange(-100, 100), default=0, help="Higher numbers run first.")
@click.option("--request-id", default="", help="The same id and content return the same job.")
@click.option("--wait", is_flag=True, help="Show the progress until the job ends. Ctrl-C leaves it running.")
@click.option("--timeout", type=DURATION, help="With --wait: stop waiting after this long. The job goes on.")
@click.option("--reason", default="", help="Why, for the history of the policy's mode.")
@click.option("--actor", default=whoami, help="Who, for the history.  [default: user@host]")
@json_flag
@pass_session
def learn(session: Session, /, **asked: Any) -> Exit:
    """Let a policy learn from its clients' episodes, until the job is cancelled.

    Sets the policy's mode to LEARN and starts a job on the trainer. With --spaces the policy needs
    no version yet: the job publishes an untrained one that clients can begin with.
    """
    spec = spec_of(asked)
    with session.client() as client:
        is_known = _set_mode(client, asked)
        job = client.create_training_job(spec, request_id=asked["request_id"], priority=asked["priority"])
        if not is_known:
            job = _first_version(client, job, asked)
        if asked["wait"]:
            write(f"job {job.job_id}; `policyctl jobs cancel {job.job_id}` ends it", err=True)
            job = progress.show(client.watch_training_job(job.job_id, timeout=asked["timeout"])) or job
    session.show(as_json(job), outcome.text(job))
    return Outcome.of(job).code


def spec_of(asked: dict[str, Any]) -> training_pb2.TrainingSpec:
    """The job that the options describe. InvalidArgument names the option."""
    spec = training_pb2.TrainingSpec(
        policy=asked["policy"],
        env_id=asked["env"],
        algorithm=asked["algorithm"] or "",
        seed=asked["seed"],
        settings=dict(parse_setting(item) for item in asked["settings"]),
        source=training_pb2.TrainingSpec.EXPERIENCE,
        spaces=None if asked["spaces"] is None else read_spaces(asked["spaces"]),
    )
    spec.promotion.promote, spec.promotion.alias = asked["promote"], asked["alias"]
    if asked["min_return"] is not None:
        spec.promotion.min_return = asked["min_return"]
    return spec


def _set_mode(client: PolicyClient, asked: dict[str, Any]) -> bool:
    """Sets the policy's mode to LEARN, and returns whether it could.

    Returns False if the policy does not exist yet and --spaces was given: the job will then make
    its first version. Raises NotFound if the policy does not exist and --spaces was not given.
    """
    try:
        found = client.get_experience(asked["policy"])
    except NotFound:
        if asked["spaces"] is None:
            raise
        return False
    if found.config.mode != LEARN:
        found.config.mode = LEARN
        client.set_experience_config(
            asked["policy"],
            found.config,
            actor=asked["actor"],
            reason=asked["reason"] or "policyctl learn",
            expected_generation=found.generation,
        )
    return True


def _first_version(
    client: PolicyClient, job: training_pb2.TrainingJob, asked: dict[str, Any]
) -> training_pb2.TrainingJob:
    """Waits until the server has the job's first version, and sets the mode. Returns the job.

    If the job stays queued for QUEUED_SECONDS, the job is returned as it is, unless --wait was
    given.
    """
    began, told = time.monotonic(), False
    until = began + FIRST_SECONDS
    late: PolicydError | None = None  # why the server could not be asked, if it was too busy
    while True:
        try:
            job = client.get_training_job(job.job_id)
            if job.state in TERMINAL or (job.progress.learning.version and _set_mode(client, asked)):
                return job
            late = None
        except (DeadlineExceeded, Unavailable) as error:
            late = error
        now = time.monotonic()
        if job.state == training_pb2.TrainingJob.QUEUED and now - began > QUEUED_SECONDS:
            if not told:
                write(_waits_for_a_place(job, asked), err=True)
            if not asked["wait"]:
                return job
            told, until = True, now + FIRST_SECONDS
        if now > until:
            unserved = f"the server does not serve {asked['policy']} yet: do both have one repository?"
            raise late or NotFound(unserved)
        time.sleep(0.2)  # the server looks for new versions once a second


def _waits_for_a_place(job: training_pb2.TrainingJob, asked: dict[str, Any]) -> str:
    """Returns a text: why the job has not started, and what the user still has to do."""
    told = (
        f"job {job.job_id} waits for a place: the trainer runs as many continuous jobs as it may "
        "(policyd-trainer serve --max-continuous). It begins when another one ends."
    )
    if asked["wait"]:
        return told
    return f"{told} Then: policyctl experience set --policy {asked['policy']} --mode learn"
