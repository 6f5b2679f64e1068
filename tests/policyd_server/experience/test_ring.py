"""What a worker puts into the shared memory is what the recorder reads, whoever of the two dies."""

from __future__ import annotations

import mmap
import os
from collections import deque
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policyd_server import compiled
from policyd_server.experience import ring
from policyd_server.experience.ring import Ring, RingReader

if compiled.AVAILABLE:
    from policyd_server.compiled.ring import Ring as CompiledRing

KINDS = ["python", "compiled"] if compiled.AVAILABLE else ["python"]
CAPACITY = 256

steps = st.tuples(st.just("put"), st.integers(0, 300)) | st.tuples(
    st.sampled_from(["read", "release", "restart"]), st.just(0)
)


def writer(kind: str, descriptor: int) -> Any:
    """The worker's end."""
    if kind == "python":
        return Ring(descriptor)
    return CompiledRing(mmap.mmap(descriptor, os.fstat(descriptor).st_size))


class Ends:
    """A worker and a recorder, and the records that are expected."""

    def __init__(self, kind: str, capacity: int = CAPACITY) -> None:
        self.descriptor = ring.create(capacity)
        self.worker = writer(kind, self.descriptor)
        self.recorder = RingReader(os.dup(self.descriptor))
        self.waiting: deque[bytes] = deque()  # put, but not read
        self.read: deque[bytes] = deque()  # read, but not released
        self._number = 0

    def close(self) -> None:
        """Closes both ends."""
        self.recorder.close()
        os.close(self.descriptor)

    def step(self, name: str, size: int) -> bool:
        """Does one step of one end. Returns whether a record was put."""
        if name == "put":
            return self._put(size)
        if name == "read":
            assert b"".join(self.recorder.read()) == b"".join(self.waiting)
            self.read += self.waiting
            self.waiting.clear()
        elif name == "release":
            self.recorder.release()
            self.read.clear()
        else:  # the recorder dies; the next one gets again what was not released
            self.recorder.close()
            self.recorder = RingReader(os.dup(self.descriptor))
            self.waiting, self.read = self.read + self.waiting, deque()
        return False

    def _put(self, size: int) -> bool:
        self._number += 1
        record = (self._number % 256).to_bytes() * size
        if not self.worker.put(record):
            return False
        self.waiting.append(record)
        return True


@given(st.lists(steps, max_size=60))
@example([("put", 8), ("read", 0), ("release", 0), ("put", 0)])  # nothing, where a lap would begin
def test_all_is_read_in_order_and_both_writers_do_the_same(todo: list[tuple[str, int]]) -> None:
    """Records come in order at the memory's end, in a full ring, and after a recorder's end."""
    ends = [Ends(kind) for kind in KINDS]
    for name, size in todo:
        put = [each.step(name, size) for each in ends]
        assert put == put[:1] * len(ends)
        for each in ends:
            assert each.worker.is_empty == (not b"".join((*each.waiting, *each.read)))
    for each in ends:
        each.step("read", 0)
        each.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_ring_takes_more_once_something_is_released(kind: str) -> None:
    """Records that were only read may be needed by the next recorder, so they take up room."""
    ends = Ends(kind)
    while ends.step("put", 50):
        pass
    ends.step("read", 0)
    assert not ends.step("put", 50)
    ends.step("release", 0)
    assert ends.step("put", 50)
    ends.step("read", 0)
    ends.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_recorder_that_keeps_up_needs_little_memory(kind: str) -> None:
    """The worker starts again at the front long before the end of the memory."""
    ends = Ends(kind, 1 << 20)
    for _ in range(4000):
        ends.step("put", 1000)
        ends.step("read", 0)
        ends.step("release", 0)
    assert os.fstat(ends.descriptor).st_blocks * 512 < 3 * (1 << 20) // ring.LAPS
    ends.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_bell_is_wanted_by_who_sleeps(kind: str) -> None:
    """A sleeping recorder wants one bell. With unread records it does not go to sleep."""
    ends = Ends(kind)
    assert ends.worker.wants_bell()  # no read has happened yet
    assert not ends.worker.wants_bell()
    assert ends.recorder.may_sleep()
    assert ends.worker.wants_bell()
    ends.step("put", 3)
    assert not ends.recorder.may_sleep()
    ends.step("read", 0)
    assert ends.recorder.may_sleep()
    ends.close()
