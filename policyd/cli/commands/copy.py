"""`policyctl copy`: a repository from one place to another, without a server."""

from __future__ import annotations

from pathlib import Path

import click

from policyd.cli.output import write
from policyd.cli.session import Session, json_flag, pass_session
from policyd.counted import counted
from policyd.repository import ModelRepository
from policyd.repository.copying import copy as copy_repository
from policyd.repository.option import LOCATION


@click.command("copy")
@click.argument("source", type=LOCATION)
@click.argument("target", type=LOCATION)
@click.option("--policy", "policies", multiple=True, help="Only this policy; may be repeated.")
@json_flag
@pass_session
def copy(session: Session, source: Path | str, target: Path | str, policies: tuple[str, ...]) -> None:
    """Copy the model repository SOURCE to TARGET: the same versions, numbers and aliases.

    Each is a folder, or s3://, gs:// or az:// with bucket and prefix. Every file is verified. What
    TARGET has already stays, so the same command again goes on where it was interrupted.
    """
    done = copy_repository(
        ModelRepository(source),
        ModelRepository(target),
        policies,
        lambda name: None if session.json else write(name),
    )
    document = {"copied": list(done.copied), "existed": list(done.existed)}
    session.show(
        document, f"{counted(len(done.copied), 'versions')} copied, {len(done.existed)} were there already"
    )
