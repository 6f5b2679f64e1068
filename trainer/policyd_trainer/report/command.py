"""`policyd-trainer report`: draws the report of a published version and puts it beside the model.

A run starts it when its result is durable, so nobody waits for pictures to be served by a new
version. Whoever wants the report at once calls it too: it waits for the other process, or draws
what is missing.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click

from policyd.errors import PolicydError
from policyd.repository import ModelRepository, PublishedVersion
from policyd.repository.option import LOCATION
from policyd.repository.report import REPORT, report_locked, with_last_canary
from policyd_trainer.report.aside import prepare
from policyd_trainer.report.build import build
from policyd_trainer.report.page import NEWEST, link
from policyd_trainer.report.subject import Subject
from policyd_trainer.runs import mlflow_log

logger = logging.getLogger(__name__)


@click.command()
@click.option(
    "--repository",
    required=True,
    envvar="POLICYD_REPOSITORY",
    type=LOCATION,
    help="The model repository: a folder, or s3://, gs:// or az:// with bucket and prefix.",
)
@click.option("--policy", required=True, help="Name of the policy.")
@click.option("--version", required=True, type=click.IntRange(min=1), help="Number of the version.")
def report(repository: Path | str, policy: str, version: int) -> None:
    """Draw the report of a published version.

    Prints where the report is. If the version already has a report, it is kept.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # environments that draw must not look for a screen
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        click.echo(ensure_report(ModelRepository(repository), policy, version))
    except PolicydError as error:
        click.echo(f"no report of {policy} version {version}: {error.message}", err=True)
        sys.exit(1)


def ensure_report(repository: ModelRepository, policy: str, version: int) -> str:
    """Returns where the report is. Draws it if the version has none.

    Raises:
        PolicydError: it cannot be drawn.
    """
    published = repository.read(policy, version)
    with report_locked(repository, published):
        if REPORT not in {*published.files, *repository.added_files(published)}:
            prepare()
            subject = Subject.of(repository, published)
            files = build(subject)
            files[REPORT] = with_last_canary(repository, published, files[REPORT])
            repository.add_files(policy, version, files)
            if subject.place.before is not None:
                _link_from(repository, repository.read(policy, subject.place.before), version)
            mlflow_log.log_run(subject.config, subject.curve, repository, published)
    return f"{repository.location}/{published.path}/{REPORT}"


def _link_from(repository: ModelRepository, before: PublishedVersion, version: int) -> None:
    """Adds a link to `version` to the report of the version before it, which is older."""
    with report_locked(repository, before):
        if REPORT not in repository.added_files(before):
            return
        html = repository.read_added(before, REPORT).decode()
        linked = html.replace(NEWEST, link(version, "Version {} after it"))
        repository.add_files(before.policy, before.version, {REPORT: linked.encode()})
