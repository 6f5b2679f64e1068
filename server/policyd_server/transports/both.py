"""Two transports of one process: one for clients, one for other processes of this server."""

from __future__ import annotations

import asyncio

from policyd_server.transports import Transport


class BothTransports:
    """Serves on both. The address is the first's."""

    def __init__(self, public: Transport, private: Transport) -> None:
        self._public = public
        self._private = private

    @property
    def address(self) -> str:
        """The address for clients."""
        return self._public.address

    async def start(self) -> None:
        """Listens on both. FailedPrecondition: the address is taken."""
        await self._private.start()
        await self._public.start()

    async def stop(self, grace: float) -> None:
        """Takes no more calls. Ends those in flight after `grace` seconds at the latest."""
        await asyncio.gather(self._public.stop(grace), self._private.stop(grace))
