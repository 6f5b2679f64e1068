"""The grpc.aio server behind the front. It starts with the first call that needs it.

Most servers answer only what the front answers itself. They then do without gRPC's threads, which
wake up now and then, and without the memory of its core.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from policyd_server.front.binding import Front
from policyd_server.transports.grpcio import GrpcioTransport

_LOG = logging.getLogger(__name__)


class ServerBehind:
    """The server behind the front. Created on the event loop, where it runs."""

    def __init__(self, make: Callable[[], GrpcioTransport], front: Front) -> None:
        """`front`: is told when the server listens."""
        self._make = make
        self._front = front
        self._loop = asyncio.get_running_loop()
        self._server: GrpcioTransport | None = None
        self._starting: asyncio.Task[None] | None = None
        self._draining = False

    def needed(self) -> None:
        """Starts the server. From any thread."""
        self._loop.call_soon_threadsafe(self._begin)

    async def start(self) -> None:
        """Starts the server now, unless it has started.

        A call may arrive before the front knows that the server listens.
        """
        if self._server is None:
            server = self._make()
            await server.start()
            self._server = server
        self._front.upstream_is(there=True)

    async def drain(self, grace: float) -> None:
        """As GrpcioTransport.drain. A server that has not started will not start any more."""
        self._draining = True
        if self._starting is not None:
            await self._starting
        if self._server is not None:
            await self._server.drain(grace)

    async def stop(self) -> None:
        """Closes all connections. The server was drained before."""
        if self._server is not None:
            await self._server.stop(0)

    def _begin(self) -> None:
        self._starting = self._loop.create_task(self._try_to_start())

    async def _try_to_start(self) -> None:
        """Starts the server. If that fails, the calls that wait fail; the next call tries again."""
        try:
            if not self._draining:
                await self.start()
                return
        except Exception:  # noqa: BLE001 -- the boundary: calls of clients lead here
            _LOG.exception("the server behind the front cannot start")
        self._front.upstream_is(there=False)
