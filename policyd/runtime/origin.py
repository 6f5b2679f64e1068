"""Where a call comes from: over its own connection, or relayed by the front on this machine.

The front has the client's connection, so it sends the client's address in metadata. It removes such
metadata if a client sends it.
"""

from __future__ import annotations

from typing import Any

PREFIX = "policyd-"  # the prefix of metadata that only our own processes send
PEER, COMMON_NAME = "policyd-peer", "policyd-common-name"
ON_BEHALF_OF = "policyd-on-behalf-of"  # the server tells the trainer for whom it forwards a call


class Origin:
    """Finds out who made a call."""

    def __init__(self, *, relayed: bool = False) -> None:
        """`relayed`: every call comes from the front, over a socket that nobody else can reach."""
        self._relayed = relayed

    def peer(self, context: Any) -> str:
        """The client's address, as gRPC writes it."""
        told = dict(context.invocation_metadata() or ()).get(PEER) if self._relayed else None
        return str(told or context.peer())

    def common_name(self, context: Any) -> str | None:
        """The common name of the client's verified certificate, if it showed one."""
        if self._relayed:
            told = dict(context.invocation_metadata() or ()).get(COMMON_NAME)
            return None if told is None else str(told)
        names = context.auth_context().get("x509_common_name", ())
        return names[0].decode() if names else None
