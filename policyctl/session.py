"""What every command shares: the server's address, the kind of output, and the shared options."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from policyctl.client import PolicyClient

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass
class Session:
    """One run of policyctl."""

    server: str
    json: bool = False

    def client(self) -> PolicyClient:
        """A connection to the server that --server names."""
        return PolicyClient(self.server)

    def show(self, document: object, text: str) -> None:
        """Prints the result: `document` for machines, `text` for people."""
        click.echo(json.dumps(document, allow_nan=False) if self.json else text)


pass_session = click.make_pass_decorator(Session)


def _switch_to_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).json = True


def json_flag(command: _Command) -> _Command:
    """`--json` behind the command's name; before it, it means the same."""
    return click.option(
        "--json", is_flag=True, expose_value=False, callback=_switch_to_json, help="Print one JSON document."
    )(command)


policy_option = click.option(
    "--policy", default="", help="The policy's name; not needed where the server has exactly one."
)


def version_options(command: _Command) -> _Command:
    """`--version` and `--alias`: which version answers."""
    version = click.option("--version", type=click.IntRange(min=1), help="A published version.")
    alias = click.option("--alias", help="An alias of the policy; default: champion.")
    return version(alias(command))


def change_options(command: _Command) -> _Command:
    """Who moves an alias, why, and what they saw before."""
    alias = click.option("--alias", default="champion", show_default=True, help="The alias to move.")
    reason = click.option("--reason", default="", help="Why, for the history.")
    actor = click.option("--actor", default=_whoami, help="Who, for the history.  [default: user@host]")
    generation = click.option(
        "--expected-generation",
        type=click.IntRange(min=0),
        help="Refuse when the policy's generation is another by now.",
    )
    return alias(reason(actor(generation(command))))


def columns(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Left-aligned columns, two spaces apart."""
    table = [tuple(header), *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)


def _whoami() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
