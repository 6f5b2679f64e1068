"""`policyctl retrain`: train a policy through the server, and say what became of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from policy_api.errors import InvalidArgument, PolicydError
from policy_api.v1.training_pb2 import TrainingJob
from policyctl import git, outcome, progress
from policyctl.ci import Papers
from policyctl.config_file import ConfigFile
from policyctl.durations import DURATION
from policyctl.exits import Exit
from policyctl.outcome import Outcome
from policyctl.retraining import Retraining
from policyctl.session import Session, pass_session

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FILE = click.Path(dir_okay=False, path_type=Path)
_STDOUT = Path("-")


def what_to_train(command: _Command) -> _Command:
    """The options that may stand beside or instead of the file; each wins over the file."""
    options = (
        click.option("--policy", help="Name that the version is published under."),
        click.option("--env", help="EnvId or module:EnvId."),
        click.option("--algorithm", type=click.Choice(["reinforce", "a2c"])),
        click.option("--seed", type=click.IntRange(0, 2**63 - 1)),
        click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting; repeatable."
        ),
        click.option("--promote/--no-promote", default=None, help="Whether it may become the champion."),
        click.option("--alias", help="The alias that it may take over; default: champion."),
        click.option("--min-return", type=float, help="Greedy mean return that promotion needs at least."),
        click.option("--init-from", help="Version or alias whose weights it starts from."),
        click.option(
            "--priority", type=click.IntRange(-100, 100), help="Jobs with a higher number run first."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def what_to_write(command: _Command) -> _Command:
    """The files for a pipeline."""
    options = (
        click.option(
            "--json",
            "json_file",
            type=_FILE,
            is_flag=False,
            flag_value=_STDOUT,
            help="Outcome as JSON: to FILE, or to stdout.",
        ),
        click.option("--junit", type=_FILE, help="Outcome as JUnit XML."),
        click.option("--summary", type=_FILE, help="Outcome as Markdown, appended."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass
class _Run:
    """One retraining as it goes."""

    session: Session
    request_id: str
    wait: bool
    timeout: float | None
    job: TrainingJob | None = None

    def outcome(self, plan: Retraining) -> Outcome:
        """Creates the job, or attaches to it, and follows it if that is wanted."""
        with self.session.client() as client:
            self.job = client.create_training_job(
                plan.to_spec(),
                request_id=self.request_id,
                priority=plan.priority,
                limits=plan.limits.to_message(),
            )
            if self.wait:
                click.echo(f"job {self.job.job_id}, request {self.job.request_id}", err=True)
                self._follow(client.watch_training_job(self.job.job_id, timeout=self.timeout))
        return Outcome.of(self.job)

    def _follow(self, updates: Iterator[TrainingJob]) -> None:
        assert self.job is not None
        try:
            self.job = progress.show(updates) or self.job
        except KeyboardInterrupt:
            job_id = self.job.job_id
            click.echo(f"the job goes on; `policyctl jobs cancel {job_id}` ends it", err=True)
            raise


@click.command()
@click.argument("config", required=False, type=_FILE)
@what_to_train
@click.option("--request-id", help="The same id and content answer the same job. [default: see README.md]")
@click.option("--wait", is_flag=True, help="Follow the job to its end; the exit code says how it ended.")
@click.option("--timeout", type=DURATION, help="With --wait: stop waiting after this long; the job goes on.")
@what_to_write
@pass_session
def retrain(
    session: Session,
    /,
    config: Path | None,
    request_id: str | None,
    wait: bool,
    timeout: float | None,
    json_file: Path | None,
    junit: Path | None,
    summary: Path | None,
    **flags: Any,
) -> Exit:
    """Train what CONFIG (a YAML file) and the options say; publish it; promote it if it is good enough."""
    session.json = session.json or json_file == _STDOUT
    papers = Papers(None if json_file == _STDOUT else json_file, junit, summary)
    run = _Run(session, request_id or "", wait, timeout)
    try:
        ended = _outcome(run, config, flags)
    except PolicydError as error:
        papers.write(Outcome.of_error(error, run.job))
        raise
    papers.write(ended)
    assert ended.job is not None  # an outcome without a job is an error, above
    session.show(ended.document(), outcome.text(ended.job))
    return ended.code


def _outcome(run: _Run, config: Path | None, flags: dict[str, Any]) -> Outcome:
    overrides = _overrides(**flags)
    if config is None:
        run.request_id = run.request_id or uuid.uuid4().hex
        return run.outcome(_plan(overrides))
    file = ConfigFile(config)
    plan = file.retraining(overrides)
    run.request_id = run.request_id or plan.request_id(git.commit_of(config.parent))
    try:
        return run.outcome(plan)
    except InvalidArgument as error:
        raise file.located(error) from error


def _plan(overrides: Mapping[str, Any]) -> Retraining:
    """The configuration that the options alone stand for."""
    for option in ("policy", "env", "algorithm"):
        if option not in overrides:
            raise InvalidArgument.of(f"--{option}", got="nothing", wanted="it, or a CONFIG file")
    return Retraining.checked(overrides)


def _overrides(*, settings: tuple[str, ...], **flags: Any) -> dict[str, Any]:
    """What the options say, in the form of the file."""
    given = {name: value for name, value in flags.items() if value is not None}
    promotion = {name: given.pop(name) for name in ("promote", "alias", "min_return") if name in given}
    named = {"settings": dict(_setting(item) for item in settings), "promotion": promotion}
    return given | {name: value for name, value in named.items() if value}


def _setting(item: str) -> tuple[str, Any]:
    """KEY=VALUE; a value that is not JSON is a string."""
    name, separator, value = item.partition("=")
    if not separator or not name:
        raise InvalidArgument.of("--set", got=item, wanted="KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
