"""The command `policyctl`: its options, its commands, and how each error ends it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import click

from policyd.cli.exits import Exit, exit_of
from policyd.cli.output import write_error
from policyd.cli.session import Session, credential_options
from policyd.client.address import DEFAULT_ADDRESS
from policyd.client.credentials import Credentials
from policyd.errors import PolicydError
from policyd.runtime.commands import LazyGroup, version_option

#: For each command: where it is defined, and its line in `--help`. A command's module is imported
#: when the command runs.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "act": ("policyd.cli.commands.act:act", "Ask for one action for each of OBSERVATIONS."),
    "play": ("policyd.cli.commands.play:play", "Play episodes here with the policy on the server."),
    "retrain": (
        "policyd.cli.commands.retrain:retrain",
        "Train a policy, publish it, and promote it if it is good enough.",
    ),
    "learn": (
        "policyd.cli.commands.learn:learn",
        "Let a policy learn from its clients' episodes, until the job is cancelled.",
    ),
    "jobs": (
        "policyd.cli.commands.jobs:jobs",
        "List, show, watch and cancel training jobs, and print their logs.",
    ),
    "policies": (
        "policyd.cli.commands.policies:policies",
        "List the policies with their aliases and newest version.",
    ),
    "versions": (
        "policyd.cli.commands.policies:versions",
        "List one policy's versions with their returns, and the history of its aliases.",
    ),
    "info": ("policyd.cli.commands.policies:info", "Tell the server's version and its largest batch."),
    "promote": ("policyd.cli.commands.policies:promote", "Point an alias at VERSION."),
    "rollback": (
        "policyd.cli.commands.policies:rollback",
        "Point an alias back at the version that it pointed to before.",
    ),
    "export": ("policyd.cli.commands.transfer:export", "Copy a version from the server to this machine."),
    "import": (
        "policyd.cli.commands.transfer:import_",
        "Publish an exported version, or an ONNX model, as a policy's next version.",
    ),
    "copy": (
        "policyd.cli.commands.copy:copy",
        "Copy the model repository SOURCE to TARGET: the same versions, numbers and aliases.",
    ),
    "report": ("policyd.cli.commands.transfer:report", "Fetch the training report of a version."),
    "experience": (
        "policyd.cli.commands.experience:experience",
        "Show, set up, export and delete what a policy records of its clients' episodes.",
    ),
    "traffic": (
        "policyd.cli.commands.traffic:traffic",
        "Show and change how much of an alias's traffic each version answers.",
    ),
    "shadow": (
        "policyd.cli.commands.shadow:shadow",
        "Let a version compute beside the one that answers, and never answer.",
    ),
    "compare": (
        "policyd.cli.commands.shadow:compare",
        "Compare a policy's shadows with the versions that answered.",
    ),
    "canary": (
        "policyd.cli.commands.canary:canary",
        "Let a version prove itself on a small share of the traffic.",
    ),
    "evaluate": (
        "policyd.cli.commands.evaluate:evaluate",
        "Estimate a version's mean return from recorded episodes, and give a verdict.",
    ),
    "verify": ("policyd.cli.commands.verify:verify", "Recompute the response that RECEIPT describes."),
}


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--server",
    envvar="POLICYD_SERVER",
    default=DEFAULT_ADDRESS,
    show_default=True,
    show_envvar=True,
    help="Address of the policyd server: HOST:PORT or unix:PATH.",
)
@credential_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@version_option
@click.pass_context
def app(context: click.Context, server: str, credentials: Credentials, as_json: bool) -> None:
    """Asks a policyd server for actions and training, and changes which version it serves."""
    context.obj = Session(server, credentials, as_json)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Every error becomes one line on stderr."""
    try:
        return int(app.main(args=arguments, prog_name="policyctl", standalone_mode=False) or Exit.OK)
    except click.ClickException as error:
        _show(error)
        return Exit.BAD_REQUEST
    except PolicydError as error:
        write_error(f"{error.reason}: {error.message}")
        return exit_of(error)
    except (click.Abort, KeyboardInterrupt):
        write_error("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the program that reads our output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except Exception as error:  # the user gets one line, never a traceback
        if os.environ.get("POLICYD_DEBUG"):
            raise
        write_error(f"{type(error).__name__}: {error} (POLICYD_DEBUG=1 shows the traceback)")
        return Exit.FAILED


def _show(error: click.ClickException) -> None:
    """Prints one line; a group that was called without a command prints its help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    more = "" if context is None else f" (see {context.command_path} --help)"
    write_error(f"{error.format_message()}{more}")
