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
    """Passes decisions to the recorder through shared memory; a connection wakes the recorder.

    A decision stays in the memory until the recorder has said that it is safe. A recorder that
    restarts continues where the one before it stopped.
    """

    def __init__(self, path: str, is_recorded: RecordedPolicies) -> None:
        """`path`: of the recorder's socket. `is_recorded`: whether a policy records.

        Decisions of policies that do not record are ignored.
        """
        self._path, self._is_recorded = path, is_recorded
        self.sent: Counter[str] = Counter()  # number of decisions, by policy
        # decisions dropped because the recorder was too slow, by policy
        self.dropped: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.on_connect: Callable[[], None] = lambda: None  # called in any thread
        self._descriptor = rings.create()
        self._ring: rings.Ring | CompiledRing
        self.record: Callable[[bytes, int, str], None]  # `send`, or a quick version of it in C
        if compiled.AVAILABLE:
            memory = mmap.mmap(self._descriptor, os.fstat(self._descriptor).st_size)
            self._ring = quick = CompiledRing(memory)
            quick.quicken(is_recorded.until, self.sent, self.send, self._wake)
            self.record = quick
        else:
            self._ring, self.record = rings.Ring(self._descriptor), self.send

    def send(self, records: bytes, count: int, policy: str) -> None:
        """Passes on `count` DecisionRecords, joined as `wire.joined` does.

        If the recorder is too slow, they are dropped. The responses to their requests are sent
        after this, so no report can come before its decision.
        """
        if not self._is_recorded(policy):
            return
        with self._lock:
            if not self._ring.put(records):
                self.dropped[policy] += count
                self._ring_bell()  # the recorder may have ended
                return
            self.sent[policy] += count
            if self._ring.wants_bell():
                self._ring_bell()

    def announce(self, *, is_next: bool = False) -> None:
        """Wakes the recorder if it has decisions to read.

        `is_next`: it has followed another one. A process that ends closes its connections one after
        the other, so ours may still be open, and a bell would be lost in it.
        """
        with self._lock:
            if self._socket is not None or not self._ring.is_empty:
                if is_next:
                    self._disconnect()
                self._ring_bell()

    async def close(self) -> None:
        """Closes the connection. The recorder reads the rest."""
        with self._lock:
            if not self._ring.is_empty:
                self._ring_bell()
            self._disconnect()
            os.close(self._descriptor)
            self._descriptor = -1

    def _wake(self) -> None:
        """Wakes the recorder. Called when it sleeps, and now and then."""
        with self._lock:
            self._ring_bell()

    def _ring_bell(self) -> None:
        """Wakes the recorder, or connects to the one that followed it."""
        try:
            if self._socket is not None:
                self._socket.send(encode(BELL, b""))
                return
        except BlockingIOError:  # the socket is full: earlier bells were not read yet
            return
        except OSError:
            self._disconnect()
        with suppress(OSError):  # nobody listens now: the next bell tries again
            self._connect()

    def _connect(self) -> None:
        """Connects and passes on the descriptor of the memory. OSError."""
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
