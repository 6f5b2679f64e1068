"""The recorder answers all that its workers ask, however slowly they read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.sealed import SealedLog
from policyd_server.experience import counts
from policyd_server.experience.process import RecorderProcess
from policyd_server.experience.wire import CALL, REPLY, Frame, Frames, Method, encode

CALLS = 5000


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[socket.socket]:
    """A worker's connection for calls to a recorder that runs in a thread."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connection:
        listener.bind(path)
        listener.listen()
        process = RecorderProcess(tmp_path / "experience", listener)
        thread = threading.Thread(target=process.run)
        thread.start()
        connection.settimeout(60)
        connection.connect(path)
        yield connection
        connection.close()  # the recorder notices in its last round
        process.end()
        thread.join()


def test_replies_that_the_socket_has_no_room_for_arrive_later(worker: socket.socket) -> None:
    """The worker asks 5,000 times and only then begins to read; nothing more is asked meanwhile."""
    request = b"\0" + pb.ReportOutcomesRequest(policy="robot").SerializeToString()
    worker.sendall(b"".join(encode(CALL, request, number, Method.REPORT) for number in range(CALLS)))
    frames, received = Frames(), 0
    found: list[Frame] = []
    while len(found) < CALLS:
        data = worker.recv(1 << 16)
        received += len(data)
        found += frames.feed(data)
    assert [(frame.kind, frame.number) for frame in found] == [(REPLY, number) for number in range(CALLS)]
    assert received > 2 * worker.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


def test_reports_wait_for_no_counting(
    worker: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first question after a start counts all episodes, and others have turns meanwhile."""
    monkeypatch.setattr(counts, "READ_SECONDS", 0.0)
    log = SealedLog(tmp_path / "experience" / "episodes" / "robot")
    for number in range(50):
        log.append(pb.Episode(policy="robot", episode_id=str(number), steps=[pb.RecordedStep(version=1)]))
    log.commit()
    log.close()
    get = b"\0" + pb.GetExperienceRequest(policy="robot").SerializeToString()
    report = b"\0" + pb.ReportOutcomesRequest(policy="robot").SerializeToString()
    worker.sendall(encode(CALL, get, 1, Method.GET) + encode(CALL, report, 2, Method.REPORT))
    frames = Frames()
    found: list[Frame] = []
    while len(found) < 2:
        found += frames.feed(worker.recv(1 << 16))
    assert [frame.number for frame in found] == [2, 1]
    [counted] = pb.GetExperienceResponse.FromString(found[1].body).by_version
    assert counted.sealed_episodes == 50
