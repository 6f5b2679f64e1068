"""Sends decisions to the recorder process, from any thread and without waiting."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

from policyd_server.experience.wire import DECISIONS, TAKEN, Frames, encode

#: Decisions that wait for a slow recorder; beyond, they are dropped and counted. Acting never
#: waits.
MAX_WAITING_BYTES = 32 << 20
#: What the recorder has taken is looked for when so much is kept.
LOOK_BYTES = 512 << 10
RETRY_SECONDS = 0.02
CLOSE_SECONDS = 2.0


class DecisionSender:
    """A connection of its own, on which nothing is asked: the event loop never hears of decisions.

    It keeps each decision until the recorder has said that it survives, and sends it again to a
    recorder that has restarted.
    """

    def __init__(self, path: str, is_recorded: Callable[[str], bool]) -> None:
        """`path`: of the recorder's socket. Decisions of policies that do not record end here."""
        self._path, self._is_recorded = path, is_recorded
        self.sent: Counter[str] = Counter()  # decisions so far, by policy
        self.dropped: Counter[str] = Counter()  # those that a slow recorder had no room for
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._frames = Frames()
        self._numbers = itertools.count(1)
        self._untaken: deque[tuple[int, bytes]] = deque()  # the recorder may not have them
        self._untaken_bytes = 0
        self._unsent = b""  # what the socket had no room for
        self._left = asyncio.Event()  # whether there may be something unsent
        self._loop: asyncio.AbstractEventLoop | None = None  # on which `run` waits for that

    def send(self, records: bytes, count: int, policy: str) -> None:
        """Sends `count` DecisionRecords, joined as the wire has them.

        Drops them if the recorder is too slow.

        The answers to their requests go out after this: no report can overtake them.
        """
        if not self._is_recorded(policy):
            return
        with self._lock:
            if self._untaken_bytes > MAX_WAITING_BYTES:
                self._look()
            if self._untaken_bytes > MAX_WAITING_BYTES:
                self.dropped[policy] += count
                return
            self.sent[policy] += count
            number = next(self._numbers)
            frame = encode(DECISIONS, records, number)
            self._untaken.append((number, frame))
            self._untaken_bytes += len(frame)
            self._unsent += frame
            self._push()
            if self._unsent:
                self._tell()
            if self._untaken_bytes > LOOK_BYTES:
                self._look()

    async def resend(self) -> None:
        """Sends what a recorder that has died may not have taken to the one that follows it."""
        with self._lock:
            if self._untaken:
                self._disconnect()
                self._push()
        await self.flush()

    async def flush(self) -> None:
        """Returns when everything is in the socket."""
        while self._unsent:
            await asyncio.sleep(RETRY_SECONDS)  # the recorder makes room; nothing tells this thread
            with self._lock:
                self._push()

    async def run(self) -> None:
        """Sends the rest of what the socket had no room for, until it is cancelled."""
        self._loop = asyncio.get_running_loop()
        self._left.set()  # what was left before this began
        while True:
            await self._left.wait()
            self._left.clear()
            await self.flush()

    async def close(self) -> None:
        """Sends the rest, CLOSE_SECONDS at most, and closes the connection."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.flush()
        with self._lock:
            self._disconnect()

    def _tell(self) -> None:
        """Wakes `run`. Called by any thread."""
        if self._loop is not None and not self._left.is_set():
            with suppress(RuntimeError):  # the loop has been closed: nothing is sent any more
                self._loop.call_soon_threadsafe(self._left.set)

    def _push(self) -> None:
        """Writes as much as the socket takes now."""
        try:
            if self._socket is None:
                self._connect()
            assert self._socket is not None
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # the recorder is gone: the next call connects again
            self._disconnect()

    def _connect(self) -> None:
        """Connects, and begins again with everything that may be lost. OSError.

        There is no room.
        """
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        self._socket, self._frames = connection, Frames()
        self._unsent = b"".join(frame for _, frame in self._untaken)

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _look(self) -> None:
        """Forgets what the recorder has taken."""
        if self._socket is None:
            return
        try:
            data = self._socket.recv(1 << 16)
        except OSError:  # nothing has come; a recorder that is gone shows when something is sent
            return
        for frame in self._frames.feed(data):
            while frame.kind == TAKEN and self._untaken and self._untaken[0][0] <= frame.number:
                self._untaken_bytes -= len(self._untaken.popleft()[1])
