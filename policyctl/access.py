"""How a client proves who it is, and how it knows the server: bearer token and TLS."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import grpc

from policy_api.errors import InvalidArgument
from policy_api.exposure import is_loopback
from policy_api.tls import TlsFiles, channel_credentials


@dataclass(frozen=True)
class Access:
    """Nothing set: no TLS and no token, as on loopback."""

    #: Sent as `authorization: Bearer ...` with every call.
    token: str = field(default="", repr=False)
    #: TLS with the authorities that the system trusts; follows from the next two where they are set.
    tls: bool = False
    #: PEM file of the authority that signed the server's certificate.
    authority: Path | None = None
    #: The client's own certificate, for mTLS.
    client: TlsFiles | None = None

    @property
    def encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.tls or self.authority is not None or self.client is not None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def credentials(self, address: str) -> grpc.ChannelCredentials | None:
        """The channel's credentials; None: plain text.

        InvalidArgument: a token would cross a network in plain text. FailedPrecondition: a file is missing.
        """
        if self.encrypted:
            return channel_credentials(self.authority, self.client)
        if self.token and not address.startswith("unix:") and not is_loopback(address):
            raise InvalidArgument.of(
                "token", got=f"a token for {address} without TLS", wanted="--tls or --tls-ca FILE"
            )
        return None


#: Neither token nor TLS.
ANYBODY = Access()
