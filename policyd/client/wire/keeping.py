"""One thread that answers the frames PING and GOAWAY of servers on idle connections.

A server that shuts down waits for such answers, and one that sends keepalive PINGs closes
connections that do not answer.
"""

from __future__ import annotations

import os
import select
import threading
import time
import weakref
from contextlib import suppress
from typing import Protocol

TURN_SECONDS = 1.0  # between two looks for idle connections, while connections are used


class Kept(Protocol):
    """What the thread needs from a pool of connections."""

    def watch(self, now: float) -> tuple[list[int], bool]:
        """Returns the descriptors to watch, and whether more may be added soon."""

    def attend(self, descriptor: int) -> None:
        """Reads what arrived on a connection and answers it."""

    def forget(self) -> None:
        """Drops the connections in the child of a fork: they belong to the parent."""


class Keeper:
    """The thread that answers on idle connections, and the pools that it watches.

    The thread starts with the first call.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pools: list[weakref.ref[Kept]] = []
        self._asleep = True
        self._pipe: tuple[int, int] | None = None

    def add(self, pool: Kept) -> None:
        """Watches a pool until it is deleted."""
        with self._lock:
            self._pools = [known for known in self._pools if known() is not None]
            self._pools.append(weakref.ref(pool))

    def wake(self) -> None:
        """Tells the thread that a connection became idle."""
        if self._asleep:
            self._asleep = False
            if self._pipe is None:
                self._start()
            else:
                with suppress(BlockingIOError):  # the pipe is full, so the thread is awake already
                    os.write(self._pipe[1], b"x")

    def _start(self) -> None:
        with self._lock:
            if self._pipe is not None:
                return
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            os.set_blocking(writer, False)
            self._pipe = reader, writer
        with suppress(RuntimeError):  # the interpreter is shutting down
            threading.Thread(target=self._run, args=[reader], name="policyd-idle", daemon=True).start()

    def _run(self, reader: int) -> None:
        while True:
            self._asleep = True  # from here on, `wake` writes into the pipe
            descriptors, soon = self._watched()
            if soon:
                self._asleep = False
            for descriptor in _readable([reader, *descriptors], TURN_SECONDS if soon else None):
                if descriptor == reader:
                    os.read(reader, 4096)
                else:
                    self._attend(descriptor)

    def _watched(self) -> tuple[list[int], bool]:
        descriptors: list[int] = []
        soon, now = False, time.monotonic()
        for pool in self._living():
            found, more = pool.watch(now)
            descriptors += found
            soon = soon or more
        return descriptors, soon

    def _attend(self, descriptor: int) -> None:
        for pool in self._living():
            pool.attend(descriptor)

    def _living(self) -> list[Kept]:
        with self._lock:
            return [pool for known in self._pools if (pool := known()) is not None]

    def forget(self) -> None:
        """Drops the thread and its pools in the child of a fork: they belong to the parent."""
        self._lock = threading.RLock()
        for descriptor in self._pipe or ():
            os.close(descriptor)
        self._pipe, self._asleep = None, True
        for pool in self._living():
            pool.forget()


def _readable(descriptors: list[int], seconds: float | None) -> list[int]:
    """Waits until one of the descriptors can be read, or `seconds` have passed. Returns them."""
    waiting = select.poll()
    for descriptor in descriptors:
        waiting.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in waiting.poll(None if seconds is None else 1000 * seconds)]


_KEEPER = Keeper()
add, wake = _KEEPER.add, _KEEPER.wake

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_KEEPER.forget)
