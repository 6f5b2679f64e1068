"""Decisions go to the recorder only if their policy records; it is not even started else."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.configs import ExperienceConfigs, RecordedPolicies
from policyd_server.experience.link import RecorderLink
from policyd_server.experience.ring import CAPACITY, RingReader
from policyd_server.experience.sender import DecisionSender
from policyd_server.experience.wire import BELL, DECISIONS, HEADER

POLICY = "robot"


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """The address where a recorder would listen. The first connection starts one."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        listening.setblocking(False)
        yield listening


class Recorder:
    """The recorder's end of a connection for decisions."""

    def __init__(self, listener: socket.socket, end: socket.socket | None = None) -> None:
        self._end = end or listener.accept()[0]
        self._end.settimeout(60)
        data, (descriptor,), _, _ = socket.recv_fds(self._end, HEADER.size, 1)
        assert HEADER.unpack(data)[:2] == (0, DECISIONS)
        self.ring = RingReader(descriptor)

    def heard(self) -> int:
        """The kind of the next message."""
        return int(HEADER.unpack(self._end.recv(HEADER.size))[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self.ring.close()


@pytest.fixture
def recording(tmp_path: Path, listener: socket.socket) -> Iterator[DecisionSender]:
    """A sender whose policy records."""
    set_mode(tmp_path, pb.ExperienceConfig.RECORD)
    sender = DecisionSender(str(tmp_path / "socket"), RecordedPolicies(tmp_path))
    yield sender
    asyncio.run(sender.close())


def set_mode(root: Path, mode: pb.ExperienceConfig.Mode.ValueType) -> None:
    """Changes the policy's mode, as another process does."""
    config = pb.ExperienceConfig(mode=mode)
    ExperienceConfigs(root).change(pb.SetExperienceConfigRequest(policy=POLICY, config=config, actor="me"))


def test_nobody_connects_while_nothing_is_recorded(tmp_path: Path, listener: socket.socket) -> None:
    """Without a configuration and in mode OFF there is none.

    After RECORD the next decision is sent.
    """
    sender = DecisionSender(str(tmp_path / "socket"), RecordedPolicies(tmp_path))
    sender.record(b"one", 1, POLICY)
    set_mode(tmp_path, pb.ExperienceConfig.OFF)
    sender.record(b"two", 1, POLICY)
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert not sender.sent
    set_mode(tmp_path, pb.ExperienceConfig.RECORD)
    sender.record(b"three", 1, POLICY)
    with Recorder(listener) as recorder:
        assert b"".join(recorder.ring.read()) == b"three"
    assert sender.sent == {POLICY: 1}
    asyncio.run(sender.close())


def test_a_damaged_configuration_stops_no_decision(tmp_path: Path, listener: socket.socket) -> None:
    """The recorder reports the damage, and acting goes on."""
    set_mode(tmp_path, pb.ExperienceConfig.RECORD)
    ExperienceConfigs(tmp_path).path(POLICY).write_text("{")
    sender = DecisionSender(str(tmp_path / "socket"), RecordedPolicies(tmp_path))
    sender.record(b"one", 1, POLICY)
    with Recorder(listener) as recorder:
        assert b"".join(recorder.ring.read()) == b"one"
    assert sender.sent == {POLICY: 1}
    asyncio.run(sender.close())


def test_a_recorder_that_sleeps_is_woken(recording: DecisionSender, listener: socket.socket) -> None:
    """A recorder that is awake finds the decisions by itself."""
    recording.record(b"one", 1, POLICY)
    with Recorder(listener) as recorder:
        assert b"".join(recorder.ring.read()) == b"one"
        assert recorder.ring.may_sleep()
        recording.record(b"two", 1, POLICY)
        assert recorder.heard() == BELL
        assert not recorder.ring.may_sleep()
        assert b"".join(recorder.ring.read()) == b"two"


def test_the_next_recorder_reads_what_the_last_one_had_not_written(
    recording: DecisionSender, listener: socket.socket
) -> None:
    """The recorder's end is noticed when a bell is rung, or when it gets a call."""
    recording.record(b"one", 1, POLICY)
    with Recorder(listener) as recorder:
        assert b"".join(recorder.ring.read()) == b"one"
        recorder.ring.release()
        recording.record(b"two", 1, POLICY)
        assert b"".join(recorder.ring.read()) == b"two"  # and then it dies
    recording.record(b"three", 1, POLICY)
    recording.announce()
    with Recorder(listener) as recorder:
        assert b"".join(recorder.ring.read()) == b"twothree"


def test_what_a_recorder_has_no_room_for_is_counted(
    recording: DecisionSender, listener: socket.socket
) -> None:
    """Acting goes on, and what was put before is still there."""
    records = b"r" * (CAPACITY // 4)
    for _ in range(5):
        recording.record(records, 2, POLICY)
    assert recording.sent == {POLICY: 6}
    assert recording.dropped == {POLICY: 4}
    with Recorder(listener) as recorder:
        assert b"".join(recorder.ring.read()) == 3 * records


def test_decisions_of_several_threads_are_all_there(
    recording: DecisionSender, listener: socket.socket
) -> None:
    """The thread of a slow policy and the event loop record in parallel with the front's."""
    count = 2000
    threads = [
        threading.Thread(target=lambda name=name: [recording.record(name, 1, POLICY) for _ in range(count)])
        for name in (b"a", b"bb", b"ccc")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Recorder(listener) as recorder:
        found = b"".join(recorder.ring.read())
    assert [found.count(letter) for letter in (b"a", b"b", b"c")] == [count, 2 * count, 3 * count]
    assert recording.sent == {POLICY: 3 * count}


async def two_connections(listener: socket.socket) -> list[socket.socket]:
    """One end is the sender's, which has already sent something; the other is the link's."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        ends = [(await loop.sock_accept(listener))[0] for _ in range(2)]
    return sorted(ends, key=lambda end: not select.select([end], [], [], 0)[0])


@pytest.mark.parametrize("closed", ["both", "the link's"])
def test_a_decision_after_the_recorders_end_is_no_secret(
    recording: DecisionSender, listener: socket.socket, tmp_path: Path, closed: str
) -> None:
    """The next recorder gets it without a bell, and without a new decision or call.

    The link's connection may be closed first. A bell was then rung in the other one, and a report
    came to a recorder that did not have the decision.
    """

    async def play() -> bytes:
        link = RecorderLink(str(tmp_path / "socket"), recording)
        running = asyncio.create_task(link.run())
        await asyncio.sleep(0)  # it is waiting now
        recording.record(b"one", 1, POLICY)
        recording.record(b"two", 1, POLICY)
        senders, links = await two_connections(listener)
        links.close()  # the recorder dies
        if closed == "both":
            senders.close()
        recording.record(b"three", 1, POLICY)
        ours, other = await two_connections(listener)
        with Recorder(listener, ours) as recorder, other, senders:
            found = b"".join(recorder.ring.read())
        running.cancel()
        return found

    assert asyncio.run(play()) == b"onetwothree"
