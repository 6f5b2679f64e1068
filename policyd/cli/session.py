"""What every command shares: the server, the kind of output, and common options."""

from __future__ import annotations

import functools
import getpass
import json
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from policyd.cli.output import write
from policyd.client.credentials import ANONYMOUS, Credentials

if TYPE_CHECKING:
    from policyd.client.client import PolicyClient

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass
class Session:
    """The global options of one policyctl command."""

    server: str
    credentials: Credentials = ANONYMOUS
    json: bool = False

    def client(self) -> PolicyClient:
        """Returns a connection to the server that --server names."""
        from policyd.client.client import PolicyClient  # noqa: PLC0415 -- `policyctl --help` needs no grpc

        return PolicyClient(self.server, credentials=self.credentials)

    def show(self, document: object, text: str) -> None:
        """Prints the result: `document` with --json, otherwise `text`."""
        write(json.dumps(document, allow_nan=False) if self.json else text)


pass_session = click.make_pass_decorator(Session)


def _switch_to_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).json = True


def json_flag(command: _Command) -> _Command:
    """Adds `--json` after the command's name. It means the same as before the name."""
    return click.option(
        "--json", is_flag=True, expose_value=False, callback=_switch_to_json, help="Print one JSON document."
    )(command)


policy_option = click.option(
    "--policy", default="", help="The policy's name. Not needed if the server has exactly one policy."
)


def version_options(command: _Command) -> _Command:
    """Adds `--version` and `--alias`: which version chooses the actions."""
    version = click.option("--version", type=click.IntRange(min=1), help="Number of a published version.")
    alias = click.option("--alias", help="An alias of the policy.  [default: champion]")
    return version(alias(command))


def change_options(command: _Command) -> _Command:
    """Adds the options of commands that move an alias."""
    alias = click.option("--alias", default="champion", show_default=True, help="An alias of the policy.")
    reason = click.option("--reason", default="", help="Why; recorded in the history.")
    actor = click.option(
        "--actor", default=whoami, help="Who; recorded in the history.  [default: user@host]"
    )
    generation = click.option(
        "--expected-generation",
        type=click.IntRange(min=0),
        help="Refuse if the policy's generation is not this one.",
    )
    return alias(reason(actor(generation(command))))


def credential_options(command: _Command) -> _Command:
    """Adds the options for token and TLS; the command gets them as one Credentials."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    options = (
        click.option(
            "--token", envvar="POLICYD_TOKEN", default="", help="Bearer token. The variable is safer."
        ),
        click.option(
            "--tls", envvar="POLICYD_TLS", is_flag=True, help="Use TLS and trust this system's authorities."
        ),
        click.option(
            "--tls-ca",
            envvar="POLICYD_TLS_CA",
            type=file,
            help="Use TLS and trust this authority (PEM file).",
        ),
        click.option(
            "--tls-cert",
            envvar="POLICYD_CLIENT_CERT",
            type=file,
            help="Our certificate, for mTLS (PEM file).",
        ),
        click.option(
            "--tls-key", envvar="POLICYD_CLIENT_KEY", type=file, help="The certificate's key (PEM file)."
        ),
    )

    @functools.wraps(command)
    def with_credentials(
        *arguments: Any,
        token: str,
        tls: bool,
        tls_ca: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        **more: Any,
    ) -> Any:
        if (tls_cert is None) != (tls_key is None):
            raise click.UsageError("--tls-cert and --tls-key go together")
        return command(*arguments, credentials=Credentials(token, tls, tls_ca, tls_cert, tls_key), **more)

    wrapped: Any = with_credentials
    for option in reversed(options):
        wrapped = option(wrapped)
    return cast("_Command", wrapped)


def columns(header: Sequence[str], entries: Iterable[Sequence[object]]) -> str:
    """Returns a table: left-aligned columns, two spaces apart."""
    table = [tuple(header), *(tuple(str(cell) for cell in entry) for entry in entries)]
    widths = [max(len(entry[i]) for entry in table) for i in range(len(header))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(entry, widths, strict=True)) for entry in table
    )
    return "\n".join(line.rstrip() for line in lines)


def whoami() -> str:
    """Returns user@host, which is recorded as the author of a change."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container the user id may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
