"""The settings that decide who may connect and call.

With their options, and the objects made from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import click
import grpc.aio
import pydantic

from policyd.errors import FailedPrecondition
from policyd.runtime import listen_address
from policyd.runtime.authorization import OPENABLE, Authorizer
from policyd.runtime.callers import Callers
from policyd.runtime.guard import Gate, Guard
from policyd.runtime.origin import Origin
from policyd.runtime.tls import TlsFiles, server_credentials

_FILE = click.Path(path_type=Path, dir_okay=False)


class Security(pydantic.BaseModel):
    """Who may connect and call. By default: everyone on this machine, nobody else."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    # PEM: the server's certificate chain, leaf first; read again when it changes
    tls_cert: Path | None = None
    tls_key: Path | None = None  # PEM: the key of the certificate
    # PEM: clients must have a certificate that this authority signed (mTLS)
    tls_client_ca: Path | None = None
    callers: Path | None = None  # YAML, see policyd.runtime.callers; without it there are no roles
    # services that need no role
    open: tuple[Literal["health", "reflection", "none"], ...] = ("health", "reflection")
    insecure: bool = False  # listen beyond loopback without TLS

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Security:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        return self

    @property
    def tls(self) -> TlsFiles | None:
        """The server's TLS files; None: no TLS."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return TlsFiles(self.tls_cert, self.tls_key, self.tls_client_ca)

    @property
    def configured(self) -> bool:
        """Whether TLS or callers are configured."""
        return self.tls is not None or self.callers is not None

    def gate(self) -> Gate | None:
        """Returns the gate that authorizes calls. None: everyone may call.

        Raises FailedPrecondition if the file of callers is wrong.
        """
        if self.callers is None:
            return None
        return Gate(Authorizer(Callers(self.callers), [name for name in self.open if name in OPENABLE]))

    def guards(self, origin: Origin | None = None) -> list[Guard]:
        """Returns the guards that authorize calls; empty: everyone may call.

        Raises FailedPrecondition if the file of callers is wrong.
        """
        gate = self.gate()
        return [] if gate is None else [Guard(gate, origin)]

    def bind(self, server: grpc.aio.Server, address: str) -> int:
        """Adds the address to the server and returns its port.

        Raises FailedPrecondition if other machines could call without TLS, the certificate is
        wrong, or the address is taken.
        """
        listen_address.check(address, tls=self.tls is not None, insecure=self.insecure)
        try:
            if self.tls is None or listen_address.unix_path(address):
                return server.add_insecure_port(address)
            return server.add_secure_port(address, server_credentials(self.tls))
        except RuntimeError as error:
            message = f"cannot listen on {address}: taken, or not an address of this machine"
            raise FailedPrecondition(message, reason="ADDRESS_TAKEN") from error


def security_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of `Security` to a click command, each with its environment variable."""
    options = (
        click.option(
            "--tls-cert",
            envvar="POLICYD_TLS_CERT",
            type=_FILE,
            help="The server's certificate chain (PEM file). Read again when it changes.",
        ),
        click.option(
            "--tls-key", envvar="POLICYD_TLS_KEY", type=_FILE, help="The certificate's key (PEM file)."
        ),
        click.option(
            "--tls-client-ca",
            envvar="POLICYD_TLS_CLIENT_CA",
            type=_FILE,
            help="Demand client certificates that this authority signed (PEM file).",
        ),
        click.option(
            "--callers",
            envvar="POLICYD_CALLERS",
            type=_FILE,
            help="Callers and their roles (YAML file). Read again when it changes.",
        ),
        click.option(
            "--open",
            envvar="POLICYD_OPEN",
            multiple=True,
            type=click.Choice([*OPENABLE, "none"]),
            help="Services that need no role.  [default: health, reflection]",
        ),
        click.option(
            "--insecure",
            envvar="POLICYD_INSECURE",
            is_flag=True,
            default=None,
            help="Listen beyond loopback without TLS.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def security_from(given: Mapping[str, Any]) -> Security:
    """Returns the settings from a command's options. Other options are ignored.

    Raises click.UsageError.
    """
    mine = {name: given[name] for name in Security.model_fields if given.get(name) not in (None, ())}
    try:
        return Security(**mine)
    except pydantic.ValidationError as error:
        raise click.UsageError("; ".join(fault["msg"] for fault in error.errors())) from None
