"""The compiled core against servers that end, refuse and stay silent."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from policy_api.v1 import policy_pb2
from policyd import PolicyClient, errors
from tests.policyd.client.wire import scripted
from tests.policyd.client.wire.needed import needs_wire
from tests.policyd.client.wire.scripted import GOAWAY, PING, RESET, Script, Serve, frame

pytestmark = needs_wire

ROW = np.zeros((1, 4), np.float32)
INFO = policy_pb2.GetServerInfoResponse(version="1.2.3").SerializeToString()
REFUSED = (7).to_bytes(4, "big")
LAST_STREAM_0 = bytes(8)


def _answer(number: int, stream: int) -> bytes:
    return scripted.answer(stream, INFO)


def first(said: Callable[[int], bytes | None], count: int = 1) -> Script:
    """A script that sends `said` for the first requests, and then a good response."""
    return lambda number, stream: said(stream) if number <= count else _answer(number, stream)


def test_one_connection_serves_a_loop(serve: Serve) -> None:
    """Calls in sequence use the same connection."""
    server = serve(_answer)
    with PolicyClient(server.address, timeout=60) as client:
        versions = {client.get_server_info().version for _ in range(20)}
    assert versions == {"1.2.3"}
    assert (server.connections, server.requests) == (1, 20)


@pytest.mark.parametrize(
    "said",
    [
        lambda stream: frame(RESET, 0, stream, REFUSED),
        lambda stream: frame(GOAWAY, 0, 0, LAST_STREAM_0),
    ],
    ids=["RST_STREAM", "GOAWAY"],
)
def test_a_call_that_the_server_did_not_begin_is_sent_again(
    serve: Serve, said: Callable[[int], bytes]
) -> None:
    """Even a call that may not be repeated is sent again: the server says that it was not begun."""
    server = serve(lambda number, stream: said(stream) if number == 1 else scripted.answer(stream, b""))
    with PolicyClient(server.address, timeout=60) as client:
        client.set_alias("p", 1)
    assert server.requests == 2


def test_a_connection_that_says_goodbye_is_replaced(serve: Serve) -> None:
    """The running call gets its response over the old connection. The next one uses a new one."""
    goodbye = frame(GOAWAY, 0, 0, (2**31 - 1).to_bytes(4, "big") + bytes(4))
    server = serve(lambda number, stream: goodbye + _answer(number, stream))
    with PolicyClient(server.address, timeout=60) as client:
        for _ in range(3):
            client.get_server_info()
    assert (server.connections, server.requests) == (3, 3)


def test_a_server_that_is_unavailable_is_asked_again(serve: Serve) -> None:
    """A call is sent at most four times, if that is safe."""
    server = serve(first(lambda stream: scripted.failed(stream, b"14"), count=3))
    with PolicyClient(server.address, timeout=60) as client:
        assert client.get_server_info().version == "1.2.3"
        assert server.requests == 4
    dead = serve(lambda number, stream: scripted.failed(stream, b"14", (b"grpc-message", b"not%20now")))
    with PolicyClient(dead.address, timeout=60) as client:
        with pytest.raises(errors.Unavailable, match=r"no answer from .*not now") as caught:
            client.get_server_info()
        assert (dead.requests, caught.value.reason) == (4, "UNREACHABLE")
        with pytest.raises(errors.Unavailable):
            client.set_alias("p", 1)
    assert dead.requests == 5


@pytest.mark.parametrize(
    "said",
    [
        lambda stream: scripted.begun(stream) + scripted.status(stream, b"14"),
        lambda stream: scripted.failed(stream, b"14", (b"grpc-retry-pushback-ms", b"-1")),
        lambda stream: scripted.failed(stream, b"13"),
    ],
    ids=["the response had begun", "the server does not want it", "another status"],
)
def test_what_may_not_be_repeated_is_not(serve: Serve, said: Callable[[int], bytes]) -> None:
    """What may not be repeated is not sent again, although the method allows it."""
    server = serve(first(said))
    with PolicyClient(server.address, timeout=60) as client, pytest.raises(errors.PolicydError):
        client.get_server_info()
    assert server.requests == 1


def test_a_connection_that_breaks_is_replaced(serve: Serve) -> None:
    """A running call is repeated if that is safe. Otherwise it is unavailable."""
    server = serve(first(lambda stream: None, count=2))
    with PolicyClient(server.address, timeout=60) as client:
        with pytest.raises(errors.Unavailable) as caught:
            client.set_alias("p", 1)
        assert caught.value.reason == "UNREACHABLE"
        assert client.get_server_info().version == "1.2.3"
    assert server.requests == 3


ODD: dict[str, Callable[[int], bytes]] = {
    "an answer of HTTP/1": lambda stream: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10,
    "zeros": lambda stream: bytes(100),
    "no status": lambda stream: frame(scripted.HEADERS, 5, stream, b"\0\1a\1b"),
    "no message": lambda stream: scripted.begun(stream) + scripted.status(stream, b"0"),
    "a message that is no message": lambda stream: scripted.answer(stream, b"\xff\xff\xff"),
    "half a message": lambda stream: (
        scripted.begun(stream) + scripted.message(stream, b"abc", told=9) + scripted.status(stream, b"0")
    ),
    "two messages": lambda stream: scripted.begun(stream) + 2 * scripted.message(stream, INFO),
    "a compressed message": lambda stream: scripted.begun(stream) + scripted.message(stream, b"x", flag=1),
    "data before headers": lambda stream: scripted.message(stream, INFO),
    "a frame too large": lambda stream: b"\xff\xff\xff\0\0" + stream.to_bytes(4, "big"),
    "a reset": lambda stream: frame(RESET, 0, stream, bytes(4)),
    "HTTP's 404": lambda stream: scripted.headers(stream, (b":status", b"404"), ends=True),
    "a wrong status": lambda stream: scripted.failed(stream, b"many"),
    "details that are none": lambda stream: scripted.failed(
        stream, b"5", (b"grpc-status-details-bin", b"///"), (b"grpc-message", b"%ff%")
    ),
    "thousands of pings": lambda stream: frame(PING, 0, 0, bytes(8)) * 5000 + b"HTTP/1.1 400 Bad Request",
    "a push": lambda stream: (
        frame(5, 4, stream, (2).to_bytes(4, "big") + b"\x88") + scripted.failed(stream, b"13")
    ),
}


@pytest.mark.parametrize("said", ODD.values(), ids=ODD)
def test_odd_answers_are_errors_of_ours(serve: Serve, said: Callable[[int], bytes]) -> None:
    """Each odd response raises an error of the tree at once. The next call succeeds."""
    server = serve(first(said))
    with PolicyClient(server.address, timeout=60) as client:
        with pytest.raises(errors.PolicydError) as caught:
            client.set_alias("p", 1)
        assert not isinstance(caught.value, errors.DeadlineExceeded)
        assert client.get_server_info().version == "1.2.3"


def test_headers_and_messages_have_limits(serve: Serve) -> None:
    """The client neither waits for nor keeps what is announced beyond the limits."""
    long = (b"grpc-message", b"x" * 16_000), (b"x-more", b"y" * 300)
    server = serve(first(lambda stream: scripted.failed(stream, b"5", *long)))
    with (
        PolicyClient(server.address, timeout=60) as client,
        pytest.raises(errors.Exhausted, match="metadata size"),
    ):
        client.set_alias("p", 1)
    large = scripted.begun(1) + scripted.message(1, b"x", told=2**32 - 1)
    server = serve(first(lambda stream: large))
    with (
        PolicyClient(server.address, timeout=60) as client,
        pytest.raises(errors.Exhausted, match="4294967295 vs"),
    ):
        client.set_alias("p", 1, timeout=math.inf)


def test_silence_lasts_until_the_deadline(serve: Serve) -> None:
    """At the deadline the call is given up. The next one succeeds."""
    server = serve(lambda number, stream: b"")
    with PolicyClient(server.address, timeout=60) as client:
        with pytest.raises(errors.DeadlineExceeded, match="did not answer in time"):
            client.get_server_info(timeout=0.2)
        server.script = _answer
        assert client.get_server_info().version == "1.2.3"


def test_close_cancels_calls_under_way(serve: Serve) -> None:
    """Close cancels running calls in all threads."""
    server = serve(lambda number, stream: b"")
    client = PolicyClient(server.address, timeout=60)
    with ThreadPoolExecutor(1) as beside:
        call = beside.submit(client.get_server_info, timeout=math.inf)
        assert server.asked.wait(60)
        client.close()
        with pytest.raises(errors.Unavailable) as caught:
            call.result(60)
    assert caught.value.reason == "CANCELLED"


def test_threads_share_a_client(serve: Serve) -> None:
    """Each call gets its own response, with at most one connection per thread."""

    def script(number: int, stream: int) -> bytes:
        return scripted.answer(
            stream, policy_pb2.GetServerInfoResponse(version="1", max_batch_rows=number).SerializeToString()
        )

    server = serve(script)
    with PolicyClient(server.address, timeout=60) as client, ThreadPoolExecutor(8) as threads:
        found = [threads.submit(client.get_server_info) for _ in range(400)]
        numbers = {call.result().max_batch_rows for call in found}
    assert numbers == set(range(1, 401))
    assert server.connections <= 8


def test_pings_are_answered_while_nobody_calls(serve: Serve) -> None:
    """A server that sends a PING gets its response although nobody calls."""
    server = serve(_answer)
    with PolicyClient(server.address, timeout=60) as client:
        client.get_server_info()
        server.say(frame(PING, 0, 0, b"12345678"))
        assert server.acknowledged.wait(60)
        client.get_server_info()
    assert server.connections == 1


class _Stopped(Exception):
    pass


def test_a_signal_ends_a_call(serve: Serve) -> None:
    """What the signal's handler raises comes out of the call. The client can be used again."""
    server = serve(first(lambda stream: b""))

    def stop(*_: object) -> None:
        raise _Stopped

    def interrupt() -> None:
        server.asked.wait(60)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with PolicyClient(server.address, timeout=60) as client, ThreadPoolExecutor(1) as beside:
            beside.submit(interrupt)
            with pytest.raises(_Stopped):
                client.get_server_info(timeout=math.inf)
            assert client.get_server_info().version == "1.2.3"
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # about threads, which grpcio has
def test_a_fork_has_connections_of_its_own(serve: Serve) -> None:
    """Child and parent use the same client, and neither gets the other's responses."""
    server = serve(_answer)
    with PolicyClient(server.address, timeout=60) as client:
        client.get_server_info()
        good = False
        child = os.fork()
        if child == 0:
            try:
                good = all(client.get_server_info().version == "1.2.3" for _ in range(3))
            finally:
                os._exit(0 if good else 1)
        _, ended = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(ended) == 0
        assert client.get_server_info().version == "1.2.3"
    assert server.connections == 2
