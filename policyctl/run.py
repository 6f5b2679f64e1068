"""One command of policyctl. Every error becomes one line on stderr and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from policy_api.errors import PolicydError
from policyctl.app import app
from policyctl.exits import Exit, exit_of


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    try:
        return int(app.main(args=arguments, prog_name="policyctl", standalone_mode=False) or Exit.OK)
    except click.ClickException as error:
        _show(error)
        return Exit.BAD_REQUEST
    except PolicydError as error:
        click.echo(f"policyctl: {error.reason}: {' '.join(error.message.split())}", err=True)
        return exit_of(error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("policyctl: interrupted", err=True)
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except Exception as error:  # people get a line, never a traceback
        if os.environ.get("POLICYD_DEBUG"):
            raise
        line = " ".join(str(error).split())
        click.echo(
            f"policyctl: {type(error).__name__}: {line} (POLICYD_DEBUG=1 shows the traceback)", err=True
        )
        return Exit.FAILED


def _show(error: click.ClickException) -> None:
    """One line; a group without a command shows its help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    more = "" if context is None else f" (see {context.command_path} --help)"
    click.echo(f"policyctl: {' '.join(error.format_message().split())}{more}", err=True)
