"""The open connections to one endpoint: each serves one call at a time."""

from __future__ import annotations

import threading
import time

from policyd.client.channel import MAX_MESSAGE_BYTES
from policyd.client.wire import keeping
from policyd.client.wire.binding import Wire
from policyd.client.wire.endpoints import Endpoint

#: Calls at a time that have a connection of their own. More go through grpcio.
MAX_CONNECTIONS = 16
#: Seconds after which an idle connection is watched, so that the server's PINGs are answered.
IDLE_SECONDS = 1.0


class Pool:
    """Connections that are idle, and those that calls use. Safe to share between threads.

    The last one that was given back is taken first: a loop of calls stays on one connection.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.RLock()  # a signal's handler may close the client
        self._idle: list[tuple[Wire, float]] = []  # and since when
        self._watched: dict[int, Wire] = {}  # by descriptor; they are idle, too
        self._busy: set[Wire] = set()
        self._resting: dict[Wire, float] = {}  # of streams whose caller does something else, since when
        self.closed = False
        keeping.add(self)

    def take(self) -> Wire | None:
        """An idle connection that can be used, for `give`. None: there is none."""
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
        """Whether as many calls are under way as have connections of their own."""
        return len(self._busy) >= MAX_CONNECTIONS

    def connect(self, seconds: float) -> Wire:
        """A new connection, for `give`. Raises OSError."""
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
        """The stream of a busy connection is not waited for, until `resume`."""
        with self._lock:
            self._resting[wire] = time.monotonic()
        keeping.wake()

    def resume(self, wire: Wire) -> None:
        """Its caller uses the connection again."""
        with self._lock:
            self._resting.pop(wire, None)

    def give(self, wire: Wire) -> None:
        """Takes a connection back whose call has ended well."""
        with self._lock:
            self._busy.discard(wire)
            if not self.closed:
                self._idle.append((wire, time.monotonic()))
        keeping.wake()

    def release(self, wire: Wire, *, ended: bool) -> None:
        """Takes a connection back, for the next call if its own has ended; else closes it."""
        if ended:
            self.give(wire)
        else:
            wire.cancel()
            self.drop(wire)

    def drop(self, wire: Wire) -> None:
        """Takes a connection back that is not to be used again."""
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
        """The descriptors to be watched, and whether there may be more of them soon."""
        with self._lock:
            while self._idle and now - self._idle[0][1] >= IDLE_SECONDS:
                wire = self._idle.pop(0)[0]
                self._watched[wire.descriptor] = wire
            rested = [wire for wire, since in self._resting.items() if now - since >= IDLE_SECONDS]
            soon = bool(self._idle) or len(self._busy) > len(rested)
            return [*self._watched, *(wire.descriptor for wire in rested)], soon

    def attend(self, descriptor: int) -> None:
        """Answers what came over a watched connection, or drops it."""
        with self._lock:
            wire = self._watched.get(descriptor)
            if wire is not None and not wire.usable:
                del self._watched[descriptor]
            for stream in [one for one in self._resting if one.descriptor == descriptor]:
                if not stream.tend():  # its caller will see it
                    del self._resting[stream]

    def forget(self) -> None:
        """In the child of a fork: the connections are the parent's."""
        self._lock = threading.RLock()
        for wire in (*(wire for wire, _ in self._idle), *self._watched.values(), *self._busy):
            wire.abandon()
        self._idle, self._watched, self._busy, self._resting = [], {}, set(), {}
