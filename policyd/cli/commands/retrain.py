"""`policyctl retrain`: trains a policy through the server and reports how the job ended."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from policy_api.v1.training_pb2 import TrainingJob
from policyd.cli import outcome, progress
from policyd.cli.config_file import ConfigFile, commit_of
from policyd.cli.durations import DURATION
from policyd.cli.exits import Exit
from policyd.cli.outcome import Outcome
from policyd.cli.outcome_files import OutcomeFiles
from policyd.cli.output import write
from policyd.cli.retraining import Retraining
from policyd.cli.session import Session, pass_session, whoami
from policyd.errors import InvalidArgument, PolicydError

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FILE = click.Path(dir_okay=False, path_type=Path)
_STDOUT = Path("-")


def what_to_train(command: _Command) -> _Command:
    """Adds the options that replace values of the file, or that are used without a file."""
    options = (
        click.option("--policy", help="Name of the policy that the version is published under."),
        click.option("--env", help="Environment: EnvId or module:EnvId."),
        click.option("--algorithm", type=click.Choice(["reinforce", "a2c"]), help="Learning algorithm."),
        click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Seed of the whole run."),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="One training setting. May be given several times.",
        ),
        click.option(
            "--promote/--no-promote",
            default=None,
            help="Whether the new version may become the champion.  [default: promote]",
        ),
        click.option("--alias", help="The alias that may point to the new version.  [default: champion]"),
        click.option("--min-return", type=float, help="Smallest mean return (greedy) that promotion needs."),
        click.option("--init-from", help="Version or alias whose weights training starts from."),
        click.option(
            "--priority", type=click.IntRange(-100, 100), help="Jobs with a higher number run first."
        ),
        click.option("--cpus", type=click.FloatRange(0), help="Processors to reserve (trainer on Ray)."),
        click.option("--gpus", type=click.FloatRange(0), help="GPUs to reserve (trainer on Ray)."),
        click.option(
            "--memory-mb", type=click.IntRange(0), help="Memory to reserve, megabytes (trainer on Ray)."
        ),
        click.option(
            "--label",
            "labels",
            multiple=True,
            metavar="KEY=VALUE",
            help="A label that the machine must have (trainer on Ray). May be given several times.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def what_to_write(command: _Command) -> _Command:
    """Adds the options for the files that a pipeline reads."""
    options = (
        click.option(
            "--json",
            "json_file",
            type=_FILE,
            is_flag=False,
            flag_value=_STDOUT,
            help="Write the outcome as JSON to FILE, or print it.",
        ),
        click.option("--junit", type=_FILE, help="Write the outcome as JUnit XML."),
        click.option("--summary", type=_FILE, help="Append the outcome as Markdown."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass
class _Run:
    """One retraining: how it was asked for, and its job as far as it is known."""

    session: Session
    request_id: str
    wait: bool
    timeout: float | None
    actor: str
    job: TrainingJob | None = None

    def outcome(self, plan: Retraining) -> Outcome:
        """Creates the job, or finds it by its request id, and waits for its end if asked to."""
        with self.session.client() as client:
            self.job = client.create_training_job(
                plan.to_spec(),
                request_id=self.request_id,
                priority=plan.priority,
                limits=plan.limits.to_message(),
                actor=self.actor,
                resources=plan.resources.to_message(),
            )
            if self.wait:
                write(f"job {self.job.job_id}, request {self.job.request_id}", err=True)
                self._follow(client.watch_training_job(self.job.job_id, timeout=self.timeout))
        return Outcome.of(self.job)

    def _follow(self, updates: Iterator[TrainingJob]) -> None:
        assert self.job is not None
        try:
            self.job = progress.show(updates) or self.job
        except KeyboardInterrupt:
            job_id = self.job.job_id
            write(f"the job goes on; `policyctl jobs cancel {job_id}` cancels it", err=True)
            raise


@click.command()
@click.argument("config", required=False, type=_FILE)
@what_to_train
@click.option(
    "--request-id",
    help="The same id and content return the same job.  [default: made from CONFIG and the git commit]",
)
@click.option("--wait", is_flag=True, help="Wait for the job's end; the exit code says how it ended.")
@click.option(
    "--timeout",
    type=DURATION,
    help="With --wait: stop waiting after this long (30m, 1h30m). The job goes on.",
)
@click.option("--actor", default=whoami, help="Who asks; recorded with the job.  [default: user@host]")
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
    """Train a policy, publish it, and promote it if it is good enough.

    CONFIG is a YAML file; an option replaces the file's value. Without CONFIG, --policy, --env and
    --algorithm are needed.
    """
    session.json = session.json or json_file == _STDOUT
    files = OutcomeFiles(None if json_file == _STDOUT else json_file, junit, summary)
    run = _Run(session, request_id or "", wait, timeout, flags.pop("actor"))
    try:
        ended = _outcome(run, config, flags)
    except PolicydError as error:
        files.write(Outcome.of_error(error, run.job))
        raise
    files.write(ended)
    assert ended.job is not None  # an outcome without a job is an error, raised above
    session.show(ended.document(), outcome.text(ended.job))
    return ended.code


def _outcome(run: _Run, config: Path | None, flags: dict[str, Any]) -> Outcome:
    overrides = _overrides(**flags)
    if config is None:
        run.request_id = run.request_id or uuid.uuid4().hex
        return run.outcome(_plan(overrides))
    file = ConfigFile(config)
    plan = file.retraining(overrides)
    run.request_id = run.request_id or plan.request_id(commit_of(config.parent))
    try:
        return run.outcome(plan)
    except InvalidArgument as error:
        raise file.located(error) from error


def _plan(overrides: Mapping[str, Any]) -> Retraining:
    """Returns the configuration that the options alone give."""
    for option in ("policy", "env", "algorithm"):
        if option not in overrides:
            raise InvalidArgument.of(f"--{option}", got="nothing", wanted="a value, here or in a CONFIG file")
    return Retraining.checked(overrides)


def _overrides(*, settings: tuple[str, ...], labels: tuple[str, ...], **flags: Any) -> dict[str, Any]:
    """Returns the options' values in the layout of the file."""
    given = {name: value for name, value in flags.items() if value is not None}
    promotion = {name: given.pop(name) for name in ("promote", "alias", "min_return") if name in given}
    resources: dict[str, Any] = {
        name: given.pop(name) for name in ("cpus", "gpus", "memory_mb") if name in given
    }
    if labels:
        resources["labels"] = dict(_label(item) for item in labels)
    named = {
        "settings": dict(_setting(item) for item in settings),
        "promotion": promotion,
        "resources": resources,
    }
    return given | {name: value for name, value in named.items() if value}


def _label(item: str) -> tuple[str, str]:
    name, separator, value = item.partition("=")
    if not separator or not name:
        raise InvalidArgument.of("--label", got=item, wanted="KEY=VALUE")
    return name, value


def parse_setting(item: str) -> tuple[str, str]:
    """Splits KEY=VALUE. InvalidArgument: there is no KEY."""
    name, separator, value = item.partition("=")
    if not separator or not name:
        raise InvalidArgument.of("--set", got=item, wanted="KEY=VALUE")
    return name, value


def _setting(item: str) -> tuple[str, Any]:
    """Splits KEY=VALUE. A value that is not JSON is a string."""
    name, value = parse_setting(item)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
