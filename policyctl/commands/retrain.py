"""`policyctl retrain`: train a policy through the server, and say what became of it."""

from __future__ import annotations

import json
from typing import Any

import click
from pydantic import ValidationError

from policy_api.errors import InvalidArgument
from policy_api.v1.training_pb2 import TrainingJob
from policyctl import outcome, progress
from policyctl.durations import DURATION
from policyctl.exits import Exit
from policyctl.plain import plain
from policyctl.retraining import Retraining
from policyctl.session import Session, json_flag, pass_session


@click.command()
@click.option("--policy", help="Name that the version is published under.")
@click.option("--env", help="EnvId or module:EnvId.")
@click.option("--algorithm", type=click.Choice(["reinforce", "a2c"]))
@click.option("--seed", type=click.IntRange(0, 2**63 - 1))
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting; repeatable.")
@click.option("--promote/--no-promote", default=None, help="Whether the new version may become the champion.")
@click.option("--alias", help="The alias that it may take over; default: champion.")
@click.option("--min-return", type=float, help="Greedy mean return that promotion needs at least.")
@click.option("--request-id", default="", help="The same id and content answer the same job.")
@click.option("--wait", is_flag=True, help="Follow the job to its end; the exit code says how it ended.")
@click.option("--timeout", type=DURATION, help="With --wait: stop waiting after this long; the job goes on.")
@json_flag
@pass_session
def retrain(session: Session, /, request_id: str, wait: bool, timeout: float | None, **flags: Any) -> Exit:
    """Train a policy, publish it, and promote it if it is good enough."""
    plan = _plan(**flags)
    with session.client() as client:
        job = client.create_training_job(plan.to_spec(), request_id=request_id)
        if not wait:
            session.show(plain(job), f"job {job.job_id}: {progress.phase(job)}")
            return Exit.OK
        click.echo(f"job {job.job_id}", err=True)
        last = progress.show(client.watch_training_job(job.job_id, timeout=timeout)) or job
    return _finished(session, last)


def _plan(*, settings: tuple[str, ...], **flags: Any) -> Retraining:
    """The configuration that the flags stand for."""
    document = {
        name: flags[name] for name in ("policy", "env", "algorithm", "seed") if flags[name] is not None
    }
    document["settings"] = dict(_setting(item) for item in settings)
    promotion = {name: flags[name] for name in ("promote", "alias", "min_return") if flags[name] is not None}
    try:
        return Retraining.model_validate(document | {"promotion": promotion})
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--" + str(first["loc"][-1]).replace("_", "-")
        got = "nothing" if first["type"] == "missing" else repr(first["input"])
        raise InvalidArgument.of(flag, got=got, wanted=first["msg"]) from error


def _setting(item: str) -> tuple[str, Any]:
    """KEY=VALUE; a value that is not JSON is a string."""
    name, separator, value = item.partition("=")
    if not separator or not name:
        raise InvalidArgument.of("--set", got=item, wanted="KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _finished(session: Session, job: TrainingJob) -> Exit:
    """Prints how the job ended; the exit code that says so."""
    session.show(plain(job), outcome.text(job))
    return outcome.exit_of(job)
