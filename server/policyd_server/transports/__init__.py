"""How calls reach the services.

The C front, or grpcio's server alone where that is not compiled.
"""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """Something that listens and hands calls to the services."""

    @property
    def address(self) -> str:
        """Where it listens; with the port that it got after `start`."""

    async def start(self) -> None:
        """Listens. FailedPrecondition: the address is taken."""

    async def stop(self, grace: float) -> None:
        """Takes no more calls, and ends those in flight after `grace` seconds at the latest."""
