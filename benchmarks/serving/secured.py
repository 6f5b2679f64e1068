"""The server with TLS, and with TLS and roles: what operators run outside one machine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SECRETS = Path(__file__).parents[2] / "deploy/secrets"


@dataclass(frozen=True)
class Secrets:
    """The files that `deploy/secrets` wrote into a folder."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Secrets:
        """Makes an authority, a certificate for 127.0.0.1, and a token per role. Needs openssl."""
        subprocess.run([str(SECRETS), str(folder)], check=True, capture_output=True)
        return cls(folder)

    @property
    def authority(self) -> Path:
        """The certificate of the authority."""
        return self.folder / "ca.crt"

    @property
    def token(self) -> str:
        """The token of a caller with the role act."""
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


# How a server is secured: its environment, and the token of its clients.
Secured = Callable[[Secrets], tuple[dict[str, str], str]]


def with_tls(secrets: Secrets) -> tuple[dict[str, str], str]:
    """TLS, open to everybody."""
    return secrets.tls, ""


def with_roles(secrets: Secrets) -> tuple[dict[str, str], str]:
    """TLS, and a token with the role act."""
    return secrets.roles, secrets.token
