"""Decisions go to the recorder only if their policy records; it is not even started else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.configs import ExperienceConfigs, RecordedPolicies
from policyd_server.experience.sender import DecisionSender
from policyd_server.experience.wire import DECISIONS, HEADER

POLICY = "robot"


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """Where a recorder would listen: the first connection starts one."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        listening.setblocking(False)
        yield listening


def set_mode(root: Path, mode: pb.ExperienceConfig.Mode.ValueType) -> None:
    """Changes the policy's mode, as another process does."""
    config = pb.ExperienceConfig(mode=mode)
    ExperienceConfigs(root).change(pb.SetExperienceConfigRequest(policy=POLICY, config=config, actor="me"))


def test_nobody_connects_while_nothing_is_recorded(tmp_path: Path, listener: socket.socket) -> None:
    """Without a configuration and in mode OFF; after RECORD the very next decision goes out."""
    sender = DecisionSender(str(tmp_path / "socket"), RecordedPolicies(tmp_path))
    sender.send(b"one", 1, POLICY)
    set_mode(tmp_path, pb.ExperienceConfig.OFF)
    sender.send(b"two", 1, POLICY)
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert not sender.sent
    set_mode(tmp_path, pb.ExperienceConfig.RECORD)
    sender.send(b"three", 1, POLICY)
    connection, _ = listener.accept()
    with connection:
        kind = HEADER.unpack(connection.recv(HEADER.size))[1]
        assert (kind, connection.recv(100)) == (DECISIONS, b"three")
    assert sender.sent == {POLICY: 1}
    asyncio.run(sender.close())


def test_a_damaged_configuration_stops_no_decision(tmp_path: Path, listener: socket.socket) -> None:
    """The recorder tells of it; acting goes on."""
    set_mode(tmp_path, pb.ExperienceConfig.RECORD)
    ExperienceConfigs(tmp_path).path(POLICY).write_text("{")
    sender = DecisionSender(str(tmp_path / "socket"), RecordedPolicies(tmp_path))
    sender.send(b"one", 1, POLICY)
    connection, _ = listener.accept()
    with connection:
        kind = HEADER.unpack(connection.recv(HEADER.size))[1]
        assert (kind, connection.recv(100)) == (DECISIONS, b"one")
    assert sender.sent == {POLICY: 1}
    asyncio.run(sender.close())


def test_what_a_full_socket_left_follows_when_there_is_room(tmp_path: Path, listener: socket.socket) -> None:
    """`run` is woken by what was left, and sends all of it, in order."""
    set_mode(tmp_path, pb.ExperienceConfig.RECORD)
    sender = DecisionSender(str(tmp_path / "socket"), RecordedPolicies(tmp_path))
    record, count = b"r" * 100_000, 20

    async def play() -> bytes:
        loop = asyncio.get_running_loop()
        running = asyncio.create_task(sender.run())
        await asyncio.sleep(0)  # it waits
        for _ in range(count):
            await asyncio.to_thread(sender.send, record, 1, POLICY)  # by another thread, as in a server
        connection, _ = await loop.sock_accept(listener)
        connection.setblocking(False)
        received = b""
        with connection:
            async with asyncio.timeout(60):
                while len(received) < count * (HEADER.size + len(record)):
                    received += await loop.sock_recv(connection, 1 << 20)
        running.cancel()
        await sender.close()
        return received

    received = asyncio.run(play())
    step = HEADER.size + len(record)
    bodies = [received[begin + HEADER.size : begin + step] for begin in range(0, len(received), step)]
    assert bodies == [record] * count
