"""How calls reach the services.

The C front, or grpcio's server alone where that is not compiled.
"""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """Something that listens and passes calls to the services."""

    @property
    def address(self) -> str:
        """The address on which it listens. After `start`, it has the real port."""

    async def start(self) -> None:
        """Listens. FailedPrecondition: the address is taken."""

    async def stop(self, grace: float) -> None:
        """Takes no more calls. Ends those in flight after `grace` seconds at the latest."""
