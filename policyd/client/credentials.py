"""How a client proves who it is, and whose server certificate it trusts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from policyd.errors import InvalidArgument


@dataclass(frozen=True)
class Credentials:
    """A bearer token and the PEM files for TLS. By default: plain text without a token.

    Raises InvalidArgument if only one of `certificate` and `key` is set, or if the token has
    characters that a header cannot carry.
    """

    #: Sent as `authorization: Bearer ...` with every call. Refused over a network without TLS.
    token: str = field(default="", repr=False)
    #: Use TLS, and trust the authorities that this system trusts. Setting one of the files below
    #: also turns on TLS.
    tls: bool = False
    #: PEM file of the authority that signed the server's certificate.
    authority: str | os.PathLike[str] | None = None
    #: PEM file of this client's own certificate, for mTLS.
    certificate: str | os.PathLike[str] | None = None
    #: PEM file of the certificate's key.
    key: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            given = "key" if self.certificate is None else "certificate"
            raise InvalidArgument.of(
                "credentials", got=f"only {given}", wanted="certificate and key together"
            )

        token: object = self.token
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise InvalidArgument.of("token", got="other characters", wanted="printable ASCII, in one line")

    @property
    def encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return self.tls or self.authority is not None or self.certificate is not None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns the metadata that is sent with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()


#: Neither token nor TLS.
ANONYMOUS = Credentials()
