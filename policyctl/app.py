"""The command `policyctl` and what hangs below it."""

from __future__ import annotations

import click

from policyctl import channel
from policyctl.access import Access
from policyctl.commands.act import act
from policyctl.commands.aliases import promote, rollback
from policyctl.commands.jobs import jobs
from policyctl.commands.play import play
from policyctl.commands.policies import policies, versions
from policyctl.commands.retrain import retrain
from policyctl.commands.verify import verify
from policyctl.session import Session, access_options

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=_HELP)
@click.option(
    "--server",
    envvar="POLICYD_SERVER",
    default=channel.DEFAULT_ADDRESS,
    show_default=True,
    show_envvar=True,
    help="HOST:PORT of the policyd server.",
)
@access_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.pass_context
def app(context: click.Context, server: str, access: Access, as_json: bool) -> None:
    """Asks a policyd server for actions, training, and changes of what it serves."""
    context.obj = Session(server, access, as_json)


for command in (act, play, retrain, jobs, policies, versions, promote, rollback, verify):
    app.add_command(command)
