"""Slow policies' calls in a thread of their own."""

from __future__ import annotations

import threading

import pytest

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, FloatArray
from policyd.errors import Exhausted
from policyd.repository import ModelRepository
from policyd_server.acting.aside import SlowCalls
from policyd_server.acting.batcher import Batcher, PlainCall
from policyd_server.acting.plain import Plain
from policyd_server.acting.ticket import Ticket
from policyd_server.models.version import LoadedVersion, load_version
from tests.policyd_server import artifacts
from tests.policyd_server.compiled.needed import needs_compiler
from tests.policyd_server.conftest import Load


@pytest.fixture(scope="module")
def load_slow(tmp_path_factory: pytest.TempPathFactory) -> LoadedVersion:
    """A version that takes tens of milliseconds."""
    repository = ModelRepository(tmp_path_factory.mktemp("slow"))
    described = artifacts.metadata("slow")
    repository.publish("slow", {"model.onnx": artifacts.slow(described)}, metadata=described)
    loaded = load_version(repository, "slow", 1)
    assert loaded.slow
    return loaded


def test_tickets_are_answered_in_another_thread(load: Load) -> None:
    """Each ticket ends once, with a decision, in another thread than the one that brought it."""
    calls = SlowCalls(Batcher(max_rows=100))
    calls.start()
    ended = threading.Semaphore(0)
    threads: set[int] = set()

    def done(_: Ticket) -> None:
        threads.add(threading.get_ident())
        ended.release()

    tickets = [Ticket(load("p", 1), bytes(16), 1, done=done) for _ in range(20)]
    for ticket in tickets:
        calls.push(ticket)
    assert all(ended.acquire(timeout=60) for _ in tickets)
    assert all(ticket.decision is not None for ticket in tickets)
    assert threading.get_ident() not in threads
    calls.close()


@needs_compiler
def test_plain_requests_take_turns_with_tickets(load_slow: LoadedVersion) -> None:
    """All get responses, in few calls. Requests whose caller has gone are left out."""
    batcher = Batcher(max_rows=100)
    calls = SlowCalls(batcher)
    ended = threading.Semaphore(0)
    answers: dict[int, bytes | None] = {}

    def plain(number: int, *, wanted: bool = True) -> PlainCall:
        def done(answer: bytes | None) -> None:
            answers[number] = answer
            ended.release()

        payload = ActRequest(observations=FloatArray(raw=bytes(16)), seed=number).SerializeToString()
        start = payload.index(bytes(16))
        return PlainCall((Plain(load_slow, start, 1, start + 16), payload), b"", lambda: wanted, done)

    for number in range(10):
        calls.push_plain(plain(number, wanted=number != 3))
        calls.push(Ticket(load_slow, bytes(16), 1, done=lambda _: ended.release()))
    calls.start()
    assert all(ended.acquire(timeout=60) for _ in range(19))
    calls.close()
    assert not batcher.queue.rows
    assert sorted(answers) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    for number, answer in answers.items():
        assert ActResponse.FromString(answer or b"").seed == number


def test_a_full_queue_refuses(load: Load) -> None:
    """Before the thread runs nothing leaves the queue, so the bound is reached exactly."""
    calls = SlowCalls(Batcher(max_rows=2))
    for _ in range(2):
        calls.push(Ticket(load("p", 2), bytes(16), 1))
    with pytest.raises(Exhausted):
        calls.push(Ticket(load("p", 2), bytes(16), 1))
    calls.start()
    calls.close()
