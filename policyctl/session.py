"""What every command shares: the server's address, the kind of output, and the shared options."""

from __future__ import annotations

import functools
import getpass
import json
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from policy_api.tls import TlsFiles
from policyctl.access import ANYBODY, Access
from policyctl.client import PolicyClient

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass
class Session:
    """One run of policyctl."""

    server: str
    access: Access = ANYBODY
    json: bool = False

    def client(self) -> PolicyClient:
        """A connection to the server that --server names."""
        return PolicyClient(self.server, access=self.access)

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


def access_options(command: _Command) -> _Command:
    """Who we are and whom we trust; passed on as one Access."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    options = (
        click.option(
            "--token", envvar="POLICYD_TOKEN", default="", help="Bearer token; better in the variable."
        ),
        click.option(
            "--tls", envvar="POLICYD_TLS", is_flag=True, help="TLS, trusting whom the system trusts."
        ),
        click.option(
            "--tls-ca", envvar="POLICYD_TLS_CA", type=file, help="TLS, trusting this authority (PEM)."
        ),
        click.option(
            "--tls-cert", envvar="POLICYD_CLIENT_CERT", type=file, help="Our certificate, for mTLS."
        ),
        click.option("--tls-key", envvar="POLICYD_CLIENT_KEY", type=file, help="Its key."),
    )

    @functools.wraps(command)
    def with_access(
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
        client = TlsFiles(tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None
        return command(*arguments, access=Access(token, tls, tls_ca, client), **more)

    wrapped: Any = with_access
    for option in reversed(options):
        wrapped = option(wrapped)
    return cast("_Command", wrapped)


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
