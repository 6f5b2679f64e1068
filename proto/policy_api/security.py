"""How a process keeps strangers out: settings, their flags, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import click
import grpc.aio
import pydantic

from policy_api import exposure
from policy_api.authorization import OPENABLE, Authorizer
from policy_api.callers import Callers
from policy_api.errors import FailedPrecondition
from policy_api.guard import Guard
from policy_api.tls import TlsFiles, server_credentials

_FILE = click.Path(path_type=Path, dir_okay=False)


class Security(pydantic.BaseModel):
    """Who may connect and call. Without anything: everyone on this machine, nobody else."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    tls_cert: Path | None = None  # PEM, the server's chain, leaf first; read anew when it changes
    tls_key: Path | None = None  # PEM, its key
    tls_client_ca: Path | None = None  # PEM; clients must show a certificate that it signed (mTLS)
    callers: Path | None = None  # YAML, see policy_api.callers; without: no roles
    open: tuple[Literal["health", "reflection", "none"], ...] = ("health", "reflection")  # need no role
    insecure: bool = False  # listen beyond loopback without TLS

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Security:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key come together")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        return self

    @property
    def tls(self) -> TlsFiles | None:
        """The server's side of TLS, if it is spoken."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return TlsFiles(self.tls_cert, self.tls_key, self.tls_client_ca)

    @property
    def configured(self) -> bool:
        """Whether anything but the address keeps strangers out."""
        return self.tls is not None or self.callers is not None

    def guards(self) -> list[Guard]:
        """What stands in front of every handler. FailedPrecondition: the callers' file is wrong."""
        if self.callers is None:
            return []
        return [Guard(Authorizer(Callers(self.callers), [name for name in self.open if name in OPENABLE]))]

    def bind(self, server: grpc.aio.Server, address: str) -> int:
        """Adds the port and answers its number.

        FailedPrecondition: it would be open to strangers, the certificate is wrong, or the address is taken.
        """
        exposure.check(address, tls=self.tls is not None, insecure=self.insecure)
        try:
            if self.tls is None:
                return server.add_insecure_port(address)
            return server.add_secure_port(address, server_credentials(self.tls))
        except RuntimeError as error:
            message = f"cannot listen on {address}: taken, or not an address of this machine"
            raise FailedPrecondition(message, reason="ADDRESS_TAKEN") from error


def security_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of `Security` on a click command, each with its environment variable."""
    options = (
        click.option("--tls-cert", envvar="POLICYD_TLS_CERT", type=_FILE, help="PEM chain; followed."),
        click.option("--tls-key", envvar="POLICYD_TLS_KEY", type=_FILE, help="PEM key of the chain's leaf."),
        click.option(
            "--tls-client-ca",
            envvar="POLICYD_TLS_CLIENT_CA",
            type=_FILE,
            help="PEM; clients must show a certificate that it signed.",
        ),
        click.option(
            "--callers",
            envvar="POLICYD_CALLERS",
            type=_FILE,
            help="YAML of callers and their roles; followed.",
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
    """What the options of `security_options` say; other options are left alone. click.UsageError."""
    mine = {name: given[name] for name in Security.model_fields if given.get(name) not in (None, ())}
    try:
        return Security(**mine)
    except pydantic.ValidationError as error:
        raise click.UsageError("; ".join(fault["msg"] for fault in error.errors())) from None
