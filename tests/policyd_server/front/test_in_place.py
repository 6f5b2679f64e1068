"""Plain requests that the front answers in place, and what it leaves to its loop."""

from __future__ import annotations

import gc
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from policy_api.v1.policy_pb2 import ActRequest, FloatArray
from policyd.repository import ModelRepository
from policyd.runtime.rpc_tally import BUCKETS
from policyd_server import front as compiled_front
from policyd_server.acting.batcher import Batcher
from policyd_server.acting.plain import PlainReader
from policyd_server.acting.queue import SMALL_ROWS
from policyd_server.models.loaded_versions import LoadedVersions
from policyd_server.models.version import LoadedVersion, load_version
from tests.policyd_server.artifacts import metadata, model
from tests.policyd_server.compiled.needed import needs_front
from tests.policyd_server.front.echo import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    RawClient,
    frame,
    head,
    message,
)

if compiled_front.AVAILABLE:
    from policyd_server.front import binding
    from policyd_server.front.binding import Front
    from policyd_server.front.in_place import InPlace
    from policyd_server.front.recogniser import Recogniser

pytestmark = needs_front

ACT, LEFT = "/test.Policy/Act", b"left to the loop"


class Served:
    """A front with one method, and a loop that notes what was left to it."""

    def __init__(self, version: LoadedVersion, max_rows: int = 10_000) -> None:
        """`max_rows`: how many rows may wait."""
        self.loaded = LoadedVersions(0)
        self.loaded.set_policies([version.policy])
        self.loaded.swap(version.policy, {"champion": version})
        self.reader = PlainReader(self.loaded, 10_000)
        self.front = Front(
            [(ACT, False)], BUCKETS, upstream=None, authorize=False, max_message=1_000_000,
            max_held=4_000_000, max_streams=1000, max_headers=16_384, max_connections=100,
            handshake_seconds=10.0, stall_seconds=30.0, keepalive_seconds=300.0, keepalive_timeout=60.0,
            max_age=0.0,
        )  # fmt: skip
        self.ended: list[int] = []
        recogniser = Recogniser(0, -1, {}, self.reader)
        self.batcher = Batcher(max_rows)
        self.arrivals = InPlace(
            self.front, recogniser, self.batcher, most_rows=SMALL_ROWS, ended=self.ended.append
        )
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self.port = listening.getsockname()[1]
        self.front.listen(listening.detach(), False)
        self.closed = False
        self.turned = threading.Event()

    def learn(self, request: ActRequest) -> bytes:
        """The bytes of a request, which the reader now recognises."""
        payload = request.SerializeToString()
        self.reader.remember(payload, request)
        assert self.reader.read(payload) is not None
        return payload

    def run(self) -> None:
        """Runs in the front's thread."""
        while not self.closed:
            for kind, call, _, payload, _ in self.arrivals.wait(0 if self.batcher else -1):
                if kind == binding.MESSAGE and payload is not None:
                    self.front.answer(call, LEFT, True)
            self.batcher.step()
            self.turned.set()


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> LoadedVersion:
    repository = ModelRepository(Path(tmp_path_factory.mktemp("repository")))
    described = metadata("cartpole", (4,), 3, has_value=True)
    repository.publish("cartpole", {"model.onnx": model(described)}, metadata=described)
    return load_version(repository, "cartpole", 1)


@contextmanager
def _serving(version: LoadedVersion) -> Iterator[tuple[Served, grpc.UnaryUnaryMultiCallable[bytes, bytes]]]:
    served = Served(version)
    del version  # only the front holds it now
    with _running(served), grpc.insecure_channel(f"127.0.0.1:{served.port}") as channel:
        yield served, channel.unary_unary(ACT)


@contextmanager
def _running(served: Served) -> Iterator[None]:
    thread = threading.Thread(target=served.run)
    thread.start()
    try:
        yield
    finally:
        served.closed = True
        served.front.wake()
        thread.join()


def _together(served: Served, payloads: list[bytes]) -> list[bytes]:
    """The responses to requests that are all there before the front begins to read."""
    client = RawClient(served.port)
    for place, payload in enumerate(payloads):
        stream = 2 * place + 1
        client.send(frame(HEADERS, END_HEADERS, stream, head(ACT)))
        client.send(frame(DATA, END_STREAM, stream, message(payload)))
    answers = {2 * place + 1: b"" for place in range(len(payloads))}
    left = set(answers)
    with _running(served):
        for kind, flags, stream, data in client.frames():
            answers[stream] = answers.get(stream, b"") + (data if kind == DATA else b"")
            left -= {stream} if flags & END_STREAM and kind in (DATA, HEADERS) else set()
            if not left:
                break
        client.close()
    return [answers[2 * place + 1][5:] for place in range(len(payloads))]


def _request(rows: int, seed: int | None = 7) -> ActRequest:
    numbers = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
    return ActRequest(observations=FloatArray(raw=numbers.tobytes()), seed=seed)


def _expected(served: Served, payload: bytes) -> bytes | None:
    plain = served.reader.read(payload)
    assert plain is not None
    return Batcher(1).together(plain.model, [(plain, payload)])[0]


def test_what_is_known_is_answered_in_place(version: LoadedVersion) -> None:
    """The response is the batcher's. The loop gets nothing, and tracing gets the end."""
    with _serving(version) as (served, act):
        for rows in (1, 3, SMALL_ROWS):
            payload = served.learn(_request(rows))
            assert act(payload, timeout=60) == _expected(served, payload)
        assert len(served.ended) == 3


def test_many_at_once_each_get_their_own_answer(version: LoadedVersion) -> None:
    """Each request gets its own response, if one connection has more than one turn can take."""
    with _serving(version) as (served, act):
        served.learn(_request(1))
        payloads = [_request(1, seed).SerializeToString() for seed in range(400)]
        expected = [_expected(served, payload) for payload in payloads]  # before the front's thread starts
        calls = [act.future(payload, timeout=60) for payload in payloads]
        assert [call.result() for call in calls] == expected


def test_what_the_loop_has_to_decide_is_left_to_it(version: LoadedVersion) -> None:
    """The loop gets requests that are new, not finite, or need more.

    Requests beside them get responses in place.
    """
    with _serving(version) as (served, act):
        known = served.learn(_request(1))
        endless = _request(1)
        endless.observations.raw = np.full(4, np.inf, np.float32).tobytes()
        keyed = _request(1)
        keyed.traffic_key = "someone"
        odd = [request.SerializeToString() for request in (_request(2), endless, keyed)]
        for payload in (*odd, b"", b"\xff"):
            both = act.future(payload, timeout=60), act.future(known, timeout=60)
            assert both[0].result() == LEFT
            assert both[1].result() == _expected(served, known)


def test_a_large_request_alone_is_left_to_the_loop(version: LoadedVersion) -> None:
    """It shares it with another thread."""
    with _serving(version) as (served, act):
        assert act(served.learn(_request(SMALL_ROWS + 1)), timeout=60) == LEFT


def test_large_requests_wait_for_each_other(version: LoadedVersion) -> None:
    """All that came together are answered in place, and the queue is empty again."""
    served = Served(version)
    payloads = [served.learn(_request(SMALL_ROWS + 1 + place)) for place in range(5)]
    payloads.append(served.learn(_request(1)))
    expected = [_expected(served, payload) for payload in payloads]
    assert _together(served, payloads) == expected
    assert served.batcher.queue.rows == 0


def test_large_requests_over_the_limit_are_left_to_the_loop(version: LoadedVersion) -> None:
    """It refuses them, because too many rows wait already."""
    served = Served(version, max_rows=SMALL_ROWS + 1)
    payload = served.learn(_request(SMALL_ROWS + 1))
    expected = _expected(served, payload)
    assert _together(served, [payload] * 3) == [expected, LEFT, LEFT]
    assert served.batcher.queue.rows == 0


def test_a_version_that_is_replaced_is_not_held(version: LoadedVersion) -> None:
    """The last turn does not keep it in memory until the next one."""
    replaced = replace(version)
    held = weakref.ref(replaced)
    with _serving(replaced) as (served, act):
        del replaced
        act(served.learn(_request(1)), timeout=60)
        served.loaded.swap(version.policy, {"champion": version})
        served.turned.clear()
        served.front.wake()
        assert served.turned.wait(60)
        gc.collect()
        assert held() is None


def test_the_loop_is_woken_while_requests_are_answered(version: LoadedVersion) -> None:
    """`wait` returns without events, so that the loop can do its other work."""
    with _serving(version) as (served, act):
        payload = served.learn(_request(1))
        calls = [act.future(payload, timeout=60) for _ in range(100)]
        served.turned.clear()
        served.closed = True
        served.front.wake()
        assert served.turned.wait(60)
        for call in calls:
            call.cancel()
