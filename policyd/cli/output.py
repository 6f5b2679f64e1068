"""What policyctl prints.

Text of other people is in it: reasons, failures, logs. None of it may control the terminal.
"""

from __future__ import annotations

import sys

import click

from policyd.quoting import escaped, readable


def write(text: str, *, err: bool = False) -> None:
    """Prints lines on stdout or stderr."""
    click.echo(readable(text), err=err)


def write_error(text: str) -> None:
    """Prints `policyctl: TEXT` as one line on stderr."""
    click.echo(f"policyctl: {escaped(' '.join(text.split()))}", err=True)


def write_log(piece: str) -> None:
    """Prints a piece of a log: unchanged into a file or pipe, escaped on a terminal."""
    click.echo(readable(piece) if sys.stdout.isatty() else piece, nl=False, color=True)
