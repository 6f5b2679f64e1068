"""uvicorn's server, which sleeps until something happens and leaves the signals to others.

uvicorn itself wakes up ten times per second, to see whether it shall end and to write down the
date.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate

import uvicorn
from uvicorn.server import ServerState


class DatedState(ServerState):
    """What all connections share. A response's header `date` is made once per second."""

    def __init__(self) -> None:
        self._second = 0
        self._headers: list[tuple[bytes, bytes]] = []
        super().__init__()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Of every response, at this second."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._headers = [(b"date", formatdate(second, usegmt=True).encode())]
        return self._headers

    @default_headers.setter
    def default_headers(self, _: list[tuple[bytes, bytes]]) -> None:
        """Those that uvicorn sets have no effect."""


class SleepingServer(uvicorn.Server):
    """Runs until `end` is called. Its owner handles the signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = DatedState()
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Takes no more connections, and ends once what is in flight is answered."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        """Returns when the server shall end."""
        await self._ending.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to `serve`."""
        yield
