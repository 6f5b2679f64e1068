"""How calls reach the services: grpcio's server, or HTTP/2 in Rust. Both serve the same handlers."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """Something that listens and hands calls to the services."""

    port: int  # bound; known after `start`

    async def start(self) -> None:
        """Listens. FailedPrecondition: the address is taken."""

    async def stop(self, grace: float) -> None:
        """Takes no more calls, and ends those in flight after `grace` seconds at the latest."""
