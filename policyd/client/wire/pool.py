"""The open connections to one endpoint: each serves one call at a time."""

from __future__ import annotations

import threading
import time

from policyd.client.channel import MAX_MESSAGE_BYTES
from policyd.client.wire import keeping
from policyd.client.wire.binding import Wire
from policyd.client.wire.endpoints import Endpoint

#: At most this many calls at a time have a connection of their own. Further calls go through
#: grpcio.
MAX_CONNECTIONS = 16
#: How long a connection is idle until the thread of `keeping` watches it, in seconds, so that the
#: server's PINGs are answered.
IDLE_SECONDS = 1.0


class Pool:
    """The idle connections to one endpoint, and those that calls use. Threads may share it.

    The connection that was returned last is used first, so a loop of calls stays on one connection.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.RLock()  # reentrant, because a signal's handler may close the client
        self._idle: list[tuple[Wire, float]] = []  # each with the time since when it is idle
        self._watched: dict[int, Wire] = {}  # also idle, by descriptor
        self._busy: set[Wire] = set()
        # connections of streams that no call waits for, with the time since when
        self._resting: dict[Wire, float] = {}
        self.closed = False
        keeping.add(self)

    def take(self) -> Wire | None:
        """Returns an idle connection, to be given back by `give`. None: there is none."""
        while True:
            with self._lock:
                if self._idle:
                    wire = self._idle.pop()[0]
                elif self._watched:
                    wire = self._watched.popitem()[1]
                else:
                    return None
                self._busy.add(wire)
            if wire.usable:
                return wire
            self.drop(wire)

    @property
    def full(self) -> bool:
        """Whether all connections are in use."""
        return len(self._busy) >= MAX_CONNECTIONS

    def connect(self, seconds: float) -> Wire:
        """Opens a connection, to be given back by `give`. Raises OSError."""
        connected = self._endpoint.connect(seconds)
        try:
            wire = Wire(connected.fileno(), MAX_MESSAGE_BYTES)
        except BaseException:
            connected.close()
            raise
        connected.detach()
        with self._lock:
            self._busy.add(wire)
        return wire

    def rest(self, wire: Wire) -> None:
        """Marks a connection that no call waits for at present: its stream stays open.

        See `resume`.
        """
        with self._lock:
            self._resting[wire] = time.monotonic()
        keeping.wake()

    def resume(self, wire: Wire) -> None:
        """Ends `rest`: the caller uses the connection again."""
        with self._lock:
            self._resting.pop(wire, None)

    def give(self, wire: Wire) -> None:
        """Takes back a connection whose call has ended, so that it can be used again."""
        with self._lock:
            self._busy.discard(wire)
            if not self.closed:
                self._idle.append((wire, time.monotonic()))
        keeping.wake()

    def release(self, wire: Wire, *, ended: bool) -> None:
        """Takes a connection back. If its call has ended, it is reused, otherwise it is closed."""
        if ended:
            self.give(wire)
        else:
            wire.cancel()
            self.drop(wire)

    def drop(self, wire: Wire) -> None:
        """Takes back a connection that must not be used again."""
        with self._lock:
            self._busy.discard(wire)
            self._resting.pop(wire, None)

    def close(self) -> None:
        """Ends all connections. Calls under way fail."""
        with self._lock:
            self.closed = True
            self._idle.clear()
            self._watched.clear()
            for wire in self._busy:
                wire.shut()

    def watch(self, now: float) -> tuple[list[int], bool]:
        """Returns the descriptors to watch, and whether more may be added soon."""
        with self._lock:
            while self._idle and now - self._idle[0][1] >= IDLE_SECONDS:
                wire = self._idle.pop(0)[0]
                self._watched[wire.descriptor] = wire
            rested = [wire for wire, since in self._resting.items() if now - since >= IDLE_SECONDS]
            soon = bool(self._idle) or len(self._busy) > len(rested)
            return [*self._watched, *(wire.descriptor for wire in rested)], soon

    def attend(self, descriptor: int) -> None:
        """Answers what arrived over a watched connection, or drops the connection."""
        with self._lock:
            wire = self._watched.get(descriptor)
            if wire is not None and not wire.usable:
                del self._watched[descriptor]
            for stream in [one for one in self._resting if one.descriptor == descriptor]:
                if not stream.tend():  # the stream's caller will notice
                    del self._resting[stream]

    def forget(self) -> None:
        """Drops all connections in the child of a fork: they belong to the parent."""
        self._lock = threading.RLock()
        for wire in (*(wire for wire, _ in self._idle), *self._watched.values(), *self._busy):
            wire.abandon()
        self._idle, self._watched, self._busy, self._resting = [], {}, set(), {}
