"""Memory that a worker shares with the recorder: decisions go through it without a system call.

    byte 0     uint64   head: where the next records go             written by the worker
    byte 64    uint64   tail: what is before it, the recorder has   written by the recorder
    byte 128   uint64   end of the lap before, if head < tail       written by the worker
    byte 192   uint64   0: the recorder sleeps and wants a bell     written by both
    byte 4096  the rest: DecisionRecords, each behind its length (uint32)

Numbers are little-endian and count from byte 4096. What one `put` adds lies in one piece; where
there is no room for it behind the head, it begins at 0. A worker that dies leaves everything that
it had put; a recorder that dies leaves everything that it had not written to its disk.
"""

from __future__ import annotations

import mmap
import os

HEAD, TAIL, END, AWAKE, DATA = 0, 64, 128, 192, 4096
#: Bytes of decisions that wait for a slow recorder; beyond, they are dropped and counted. Acting
#: never waits.
CAPACITY = 32 << 20
#: Where the recorder keeps up, only about this part of the memory is ever touched: a lap.
LAPS = 32
#: A bell is rung at least so often while decisions come, so that the end of a recorder is noticed.
BELL_SECONDS = 0.1


def create(capacity: int = CAPACITY) -> int:
    """The descriptor of an empty ring, which lives as long as a process has it open."""
    descriptor = os.memfd_create("policyd-decisions", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, DATA + capacity)
    return descriptor


def place_for(size: int, head: int, tail: int, capacity: int) -> int:
    """Where `size` bytes go. -1: there is no room.

    One byte at least stays free before the tail, so that a full ring is no empty one.
    """
    if head < tail:
        return head if size < tail - head else -1
    fits = size < capacity - head
    if size < tail and (head >= capacity // LAPS or not fits):
        return 0
    return head if fits else -1


class _End:
    """What both ends have: the numbers as memory, so that none is read while it is half written."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, DATA)
        self._numbers = memoryview(self._map).cast("Q")
        self._capacity = os.fstat(descriptor).st_size - DATA

    def _get(self, at: int) -> int:
        return self._numbers[at // 8]

    def _set(self, at: int, number: int) -> None:
        self._numbers[at // 8] = number


class Ring(_End):
    """The worker's end. `policyd_server.compiled.ring` has the same in C, by shared memory."""

    @property
    def is_empty(self) -> bool:
        """Whether the recorder has everything."""
        return self._get(HEAD) == self._get(TAIL)

    def put(self, records: bytes) -> bool:
        """Adds records for the recorder, who may read them from now on. False: there is no room."""
        head = self._get(HEAD)
        place = place_for(len(records), head, self._get(TAIL), self._capacity)
        if place < 0:
            return False
        if place != head:
            self._set(END, head)
        os.pwrite(self._descriptor, records, DATA + place)
        self._set(HEAD, place + len(records))
        return True

    def wants_bell(self) -> bool:
        """Whether the recorder sleeps. It is taken at its word once."""
        asleep = not self._get(AWAKE)
        self._set(AWAKE, 1)
        return asleep


class RingReader(_End):
    """The recorder's end."""

    def __init__(self, descriptor: int) -> None:
        """Takes the descriptor over."""
        super().__init__(descriptor)
        self._at = self._get(TAIL)

    def read(self) -> bytes:
        """The records that were put since the last call."""
        begin, self._at = self._at, self._get(HEAD)
        if begin <= self._at:
            return self._piece(begin, self._at)
        return self._piece(begin, self._get(END)) + self._piece(0, self._at)

    def release(self) -> None:
        """What was read survives the recorder's end: its room is the worker's again."""
        self._set(TAIL, self._at)

    def may_sleep(self) -> bool:
        """Whether there is nothing to read. The worker rings a bell when there is, from now on."""
        self._set(AWAKE, 0)
        return self._get(HEAD) == self._at

    def close(self) -> None:
        """Gives the memory up."""
        self._numbers.release()
        self._map.close()
        os.close(self._descriptor)

    def _piece(self, begin: int, end: int) -> bytes:
        return os.pread(self._descriptor, end - begin, DATA + begin) if end > begin else b""
