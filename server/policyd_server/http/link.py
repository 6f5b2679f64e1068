"""Channels to the workers of this server, over their private Unix sockets."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from policyd.errors import Unavailable
from policyd.runtime.running_time import timeout
from policyd_server.transports import private

if TYPE_CHECKING:
    from policyd_server.http.front_link import FrontConnection

LOOK_SECONDS = 5.0  # between looks at the folder while all workers can be called
SEARCH_SECONDS = 0.05  # while one cannot
PATIENCE_SECONDS = 2.0  # how long to wait for a first worker
_READY = grpc.ChannelConnectivity.READY


class WorkerChannels:
    """Returns the workers' channels in turn. Created and used on one event loop."""

    def __init__(self, folder: Path, max_message_bytes: int, *, fronted: bool) -> None:
        """`fronted`: whether the workers have fronts."""
        self._folder = folder
        self._fronted = fronted
        self._options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.enable_http_proxy", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        self._there: set[Path] = set()  # the sockets of the workers that live
        # gRPC's core has threads that wake up ten times per second, so it starts when it is needed.
        self._asked = False
        self._channels: dict[Path, grpc.aio.Channel] = {}
        self._fronts: dict[Path, FrontConnection] = {}
        self._turn = 0
        self._changed = asyncio.Event()
        self._missed = asyncio.Event()  # set when a call finds a worker missing

    async def run(self) -> None:
        """Follows the workers for ever: new ones, and those that have ended."""
        while True:
            self._there = there = private.everyone(self._folder)
            if self._asked:
                for path in there - self._channels.keys():
                    self._channels[path] = self._opened(path)
            for path in self._channels.keys() - there:
                await self._channels.pop(path).close()
            for channel in self._channels.values():
                channel.get_state(try_to_connect=True)
            if self._fronted:
                await self._follow_fronts()
            if self._ready():
                self._changed.set()
                self._changed = asyncio.Event()
            await self._rest()

    async def _rest(self) -> None:
        """Returns when the workers have to be looked at again, at once if a call misses one."""
        if not self._complete():
            await asyncio.sleep(SEARCH_SECONDS)
            return
        self._missed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._missed.wait(), LOOK_SECONDS)

    def _complete(self) -> bool:
        """Whether all workers that are known can be called."""
        fronts = [each for each in self._fronts.values() if each.open]
        known = len(self._there)
        called = known == len(self._ready()) or not self._asked
        return known > 0 and called and (not self._fronted or len(fronts) == known)

    async def _follow_fronts(self) -> None:
        """Connects again to fronts whose connections have ended.

        Calls in flight on an old connection are still answered.
        """
        from policyd_server.http.front_link import connect  # noqa: PLC0415 -- it is compiled with the front

        self._fronts = {path: each for path, each in self._fronts.items() if each.open}
        for path in self._there - self._fronts.keys():
            with suppress(OSError):  # the worker is starting or ending
                self._fronts[path] = await connect(private.front_of(path))

    async def channel(self) -> grpc.aio.Channel:
        """Returns the channel of the next worker. Unavailable: no worker serves."""
        ready = self._ready()
        if not self._asked or len(ready) < len(self._channels):
            self._asked = True
            self._missed.set()
        if not ready:
            with suppress(TimeoutError):
                async with timeout(PATIENCE_SECONDS):
                    await self._changed.wait()
            ready = self._ready()
        if not ready:
            message = "no worker of this server can be reached; it is starting or ending"
            raise Unavailable(message, reason="NO_WORKER")
        self._turn += 1
        return self._channels[ready[self._turn % len(ready)]]

    def front(self) -> FrontConnection | None:
        """Returns the front of the next worker. None: no front takes calls.

        A front answers hot methods itself, and sooner than the services behind it.
        """
        fronts = [each for each in self._fronts.values() if each.open]
        if len(fronts) < len(self._fronts):
            self._missed.set()
        if not fronts:
            return None
        self._turn += 1
        return fronts[self._turn % len(fronts)]

    async def close(self) -> None:
        """Closes all channels."""
        for connection in self._fronts.values():
            connection.close()
        for channel in self._channels.values():
            await channel.close()

    def _opened(self, path: Path) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(f"unix:{path}", options=self._options)

    def _ready(self) -> list[Path]:
        return [path for path, channel in self._channels.items() if channel.get_state() is _READY]
