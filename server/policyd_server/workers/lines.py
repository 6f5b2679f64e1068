"""JSON lines between the supervisor and a worker.

Both ways: {"service": name, "serving": bool}, as one worker has it, and as all have it.
worker to supervisor: {"ready": true}, {"failed": reason}, {"pong": number},
                      {"ask": id, "what": name, "of": value}, {"done": id, "result": value}
supervisor to worker: {"ping": number}, {"do": id, "what": name, "of": value},
                      {"answered": id, "results": [[pid, value]], "silent": [pid]}

What a worker asks is done by all others. A result is null where a worker has
ended, and false where it has failed.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

Line = dict[str, Any]
MAX_LINE = 64 * 2**20  # the figures of many versions fit


class Lines:
    """One end of the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Lines:
        """Takes over a connected socket."""
        return cls(*await asyncio.open_connection(sock=end, limit=MAX_LINE))

    def send(self, line: Line) -> None:
        """Queues a line. If the other end has closed, the line is lost."""
        if not self._writer.is_closing():  # uvloop would raise
            self._writer.write(json.dumps(line).encode() + b"\n")

    async def __aiter__(self) -> AsyncIterator[Line]:
        """Yields the lines of the other end until it closes."""
        try:
            while text := await self._reader.readline():
                yield json.loads(text)
        except ConnectionError:
            return

    async def finish(self) -> None:
        """Closes the connection after everything was written."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    def close(self) -> None:
        """Closes the connection."""
        self._writer.close()
