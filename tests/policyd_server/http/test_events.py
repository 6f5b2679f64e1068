"""Watching by server-sent events: what a reader sees, and what a bad reader costs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

from tests.policyd_server.http.conftest import Client
from tests.policyd_server.http.trainer import Trainer


def _job(client: Client, policy: str) -> str:
    job_id: str = client.post("/v1/jobs", {"spec": {"policy": policy}}).json["job_id"]
    return job_id


def _events(text: str) -> Iterator[tuple[str, object]]:
    """Name and data of each event."""
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in lines:
            yield lines["event"], json.loads(lines["data"])


def test_a_job_is_watched_to_its_end(client: Client) -> None:
    """There is an event for each change, then `end`. No cache keeps them."""
    answer = client.get(f"/v1/jobs/{_job(client, 'short')}/events")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    events = list(_events(answer.body.decode()))
    assert [name for name, _ in events] == ["job", "job", "end"]
    assert [data["state"] for _, data in events[:2]] == ["QUEUED", "SUCCEEDED"]  # type: ignore[index]


def test_an_error_before_the_first_event_is_a_status(client: Client) -> None:
    """A browser gets 404 instead of an empty stream."""
    answer = client.get("/v1/jobs/nope/events")
    assert (answer.status, answer.json["reason"]) == (404, "NOT_FOUND")


def test_who_stops_watching_ends_the_call(client: Client, trainer: Trainer) -> None:
    """If a reader closes its connection, nothing of its call is left at the trainer."""
    trainer.left.clear()
    connection = client.connection()
    connection.request("GET", f"/v1/jobs/{_job(client, 'endless')}/events")
    response = connection.getresponse()
    assert response.readline().startswith(b"retry:")
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    response.close()
    assert trainer.left.wait(60)


def test_a_slow_reader_holds_only_itself_up(client: Client, trainer: Trainer) -> None:
    """The source stops while the reader takes nothing. Others get responses meanwhile."""
    path = f"/v1/jobs/{_job(client, 'flood')}/events"
    host, port = client.host.split(":")
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect((host, int(port)))
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: {client.host}\r\n\r\n".encode())
    sent = _settled(trainer)
    assert sent < 2000  # of 64 KB each: no more than the buffers on the way hold
    assert client.get("/v2/health/ready").status == 200
    trainer.left.clear()
    reader.close()
    assert trainer.left.wait(60)


def _settled(trainer: Trainer) -> int:
    """How many updates were sent when no more follow. There is no event, so the count is polled."""
    deadline = time.monotonic() + 60
    before, same = -1, 0
    while same < 5 and time.monotonic() < deadline:
        time.sleep(0.2)
        same = same + 1 if trainer.sent == before and before > 0 else 0
        before = trainer.sent
    assert same == 5, "the updates never stopped"
    return before
