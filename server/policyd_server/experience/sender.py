"""Hands decisions to the recorder process, from any thread and without waiting."""

from __future__ import annotations

import mmap
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from policyd.experience.configs import RecordedPolicies
from policyd_server import compiled
from policyd_server.experience import ring as rings
from policyd_server.experience.wire import BELL, DECISIONS, encode

if compiled.AVAILABLE:
    from policyd_server.compiled.ring import Ring as CompiledRing


class DecisionSender:
    """Memory that the recorder reads, and a connection that brings it there and wakes the recorder.

    A decision is in that memory until the recorder has said that it survives; a recorder that has
    restarted goes on where the one before had come to.
    """

    def __init__(self, path: str, is_recorded: RecordedPolicies) -> None:
        """`path`: of the recorder's socket. Decisions of policies that do not record end here."""
        self._path, self._is_recorded = path, is_recorded
        self.sent: Counter[str] = Counter()  # decisions so far, by policy
        self.dropped: Counter[str] = Counter()  # those that a slow recorder had no room for
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.on_connect: Callable[[], None] = lambda: None  # in any thread
        self._descriptor = rings.create()
        self._ring: rings.Ring | CompiledRing
        self.record: Callable[[bytes, int, str], None]  # `send`, in C where nothing else is to be done
        if compiled.AVAILABLE:
            memory = mmap.mmap(self._descriptor, os.fstat(self._descriptor).st_size)
            self._ring = quick = CompiledRing(memory)
            quick.quicken(is_recorded.until, self.sent, self.send, self._wake)
            self.record = quick.send
        else:
            self._ring, self.record = rings.Ring(self._descriptor), self.send

    def send(self, records: bytes, count: int, policy: str) -> None:
        """Hands over `count` DecisionRecords, joined as the wire has them.

        Drops them if the recorder is too slow.

        The answers to their requests go out after this: no report can overtake them.
        """
        if not self._is_recorded(policy):
            return
        with self._lock:
            if not self._ring.put(records):
                self.dropped[policy] += count
                self._ring_bell()  # it may have ended
                return
            self.sent[policy] += count
            if self._ring.wants_bell():
                self._ring_bell()

    def announce(self) -> None:
        """Brings the memory to a recorder that may have followed one that has died."""
        with self._lock:
            if self._socket is not None or not self._ring.is_empty:
                self._ring_bell()

    async def close(self) -> None:
        """Closes the connection; the recorder reads the rest."""
        with self._lock:
            if not self._ring.is_empty:
                self._ring_bell()
            self._disconnect()
            os.close(self._descriptor)
            self._descriptor = -1

    def _wake(self) -> None:
        """The recorder sleeps, or has not been looked after for a while."""
        with self._lock:
            self._ring_bell()

    def _ring_bell(self) -> None:
        """Wakes the recorder, or connects to one that follows it."""
        try:
            if self._socket is not None:
                self._socket.send(encode(BELL, b""))
                return
        except BlockingIOError:  # it has not heard the last ones yet
            return
        except OSError:
            self._disconnect()
        with suppress(OSError):  # nobody listens now: the next bell tries again
            self._connect()

    def _connect(self) -> None:
        """Connects, and gives the memory to who reads there. OSError."""
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            connection.connect(self._path)
            socket.send_fds(connection, [encode(DECISIONS, b"")], [self._descriptor])
        except OSError:
            connection.close()
            raise
        self._socket = connection
        self.on_connect()

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
