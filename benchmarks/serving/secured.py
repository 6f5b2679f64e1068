"""The server with TLS, and with TLS and roles: what operators run outside one machine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SECRETS = Path(__file__).parents[2] / "deploy/secrets"


@dataclass(frozen=True)
class Secrets:
    """The files of a folder that `deploy/secrets` has filled."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Secrets:
        """A new authority, a certificate for 127.0.0.1 and a token for each role. Takes openssl."""
        subprocess.run([str(SECRETS), str(folder)], check=True, capture_output=True)
        return cls(folder)

    @property
    def authority(self) -> Path:
        """Certificate of the authority."""
        return self.folder / "ca.crt"

    @property
    def token(self) -> str:
        """Of a caller with the role act."""
        return (self.folder / "clients/act.token").read_text()

    @property
    def tls(self) -> dict[str, str]:
        """The server's environment for TLS."""
        server = self.folder / "server"
        return {
            "POLICYD_TLS_CERT": str(server / "tls.crt"),
            "POLICYD_TLS_KEY": str(server / "tls.key"),
        }

    @property
    def roles(self) -> dict[str, str]:
        """The server's environment for TLS and roles."""
        return {**self.tls, "POLICYD_CALLERS": str(self.folder / "server/callers.yaml")}


# How a server is made secure: its environment, and the token that its clients show.
Secured = Callable[[Secrets], tuple[dict[str, str], str]]


def with_tls(secrets: Secrets) -> tuple[dict[str, str], str]:
    """TLS, open to everybody."""
    return secrets.tls, ""


def with_roles(secrets: Secrets) -> tuple[dict[str, str], str]:
    """TLS, and a token with the role act."""
    return secrets.roles, secrets.token
