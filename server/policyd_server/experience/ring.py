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
#: Room for decisions that wait for a slow recorder. If it is full, decisions are dropped and
#: counted; acting never waits.
CAPACITY = 32 << 20
#: If the recorder is fast enough, only about this fraction (1 / LAPS) of the memory is ever used.
LAPS = 32
#: While decisions come, BELL is sent at least this often, so that the end of a recorder is noticed.
BELL_SECONDS = 0.1


def create(capacity: int = CAPACITY) -> int:
    """Returns the descriptor of an empty ring. It exists as long as a process has it open."""
    descriptor = os.memfd_create("policyd-decisions", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, DATA + capacity)
    return descriptor


def place_for(size: int, head: int, tail: int, capacity: int) -> int:
    """Returns where `size` bytes go. -1: there is no room.

    At least one byte stays free before the tail. Otherwise a full ring would look empty. Where
    nothing is put, nothing moves: an empty ring whose head had gone to 0 would not look empty.
    """
    if head < tail:
        return head if size < tail - head else -1
    fits = size < capacity - head
    if 0 < size < tail and (head >= capacity // LAPS or not fits):
        return 0
    return head if fits else -1


class _End:
    """The common part of both ends. Each number is read and written as a whole, as memory."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._memory = memoryview(mmap.mmap(descriptor, 0))
        self._numbers = self._memory[:DATA].cast("Q")
        self._capacity = len(self._memory) - DATA

    def _get(self, at: int) -> int:
        return self._numbers[at // 8]

    def _set(self, at: int, number: int) -> None:
        self._numbers[at // 8] = number


class Ring(_End):
    """The worker's end. `policyd_server.compiled.ring` is the same in C."""

    @property
    def is_empty(self) -> bool:
        """Whether the recorder has taken everything."""
        return self._get(HEAD) == self._get(TAIL)

    def put(self, records: bytes) -> bool:
        """Adds records, which the recorder may read from now on. False: there is no room."""
        head = self._get(HEAD)
        place = place_for(len(records), head, self._get(TAIL), self._capacity)
        if place < 0:
            return False
        if place != head:
            self._set(END, head)
        self._memory[DATA + place : DATA + place + len(records)] = records
        self._set(HEAD, place + len(records))
        return True

    def wants_bell(self) -> bool:
        """Whether the recorder sleeps and has to be woken.

        True only once, until the recorder sleeps again.
        """
        asleep = not self._get(AWAKE)
        self._set(AWAKE, 1)
        return asleep


class RingReader(_End):
    """The recorder's end."""

    def __init__(self, descriptor: int) -> None:
        """Takes over the descriptor."""
        super().__init__(descriptor)
        self._at = self._get(TAIL)

    def read(self) -> list[memoryview]:
        """Returns the records that were put since the last call, in pieces.

        The pieces are valid until `release` is called.
        """
        begin, self._at = self._at, self._get(HEAD)
        if begin <= self._at:
            return self._pieces((begin, self._at))
        return self._pieces((begin, self._get(END)), (0, self._at))

    def release(self) -> None:
        """Gives the room of what was read back to the worker.

        It is called when the records would survive the recorder's end.
        """
        self._set(TAIL, self._at)

    def may_sleep(self) -> bool:
        """Whether there is nothing to read. From now on, the worker sends BELL when there is."""
        self._set(AWAKE, 0)
        return self._get(HEAD) == self._at

    def close(self) -> None:
        """Releases the memory once the last piece is dropped."""
        self._numbers.release()
        self._memory.release()
        os.close(self._descriptor)

    def _pieces(self, *places: tuple[int, int]) -> list[memoryview]:
        return [self._memory[DATA + begin : DATA + end] for begin, end in places if begin < end]
