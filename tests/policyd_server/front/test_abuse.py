"""What hostile clients do to the front; an ordinary client beside them goes on.

Figures are printed.
"""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from policyd.runtime.memory import forget_peak, peak_bytes
from tests.policyd_server.compiled.needed import needs_front
from tests.policyd_server.front import echo
from tests.policyd_server.front.echo import (
    CHAT,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_MESSAGE,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    EchoFront,
    RawClient,
    caller,
    echoing,
    frame,
    head,
    message,
)  # fmt: skip
from tests.waiting import until

pytestmark = [needs_front, pytest.mark.long]

BOMBS = 50  # fewer than a connection may have streams
ALLOWED_MEGABYTES = 60  # growth of this process, with the interpreter and gRPC's client in it


def resident() -> int:
    """The resident bytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@contextmanager
def ordinary_client(served: EchoFront, what: str) -> Iterator[None]:
    """Calls all the time. Prints its worst latency and how much memory grew.

    Every call has to succeed.
    """
    latencies: list[float] = []
    stop = threading.Event()
    failures: list[grpc.RpcError] = []

    def run() -> None:
        with grpc.insecure_channel(served.address) as channel:
            say = caller(channel)
            while not stop.is_set():
                begin = time.monotonic()
                try:
                    say(b"ordinary", timeout=60)
                except grpc.RpcError as error:
                    failures.append(error)
                    return
                latencies.append(time.monotonic() - begin)

    before = resident()
    client = threading.Thread(target=run)
    client.start()
    try:
        until(lambda: latencies or failures)
        yield
        answered = len(latencies)
        until(lambda: len(latencies) > answered or failures)
    finally:
        grown = resident() - before
        stop.set()
        client.join()
    worst = sorted(latencies)[int(len(latencies) * 0.99)]
    print(f"{what}: {len(latencies)} ordinary calls, p99 {worst * 1e3:.1f} ms, memory +{grown / 1e6:.1f} MB")
    assert not failures, failures[0]
    assert grown < ALLOWED_MEGABYTES * 1e6


def flood(served: EchoFront, chunk: Callable[[int], bytes], chunks: int) -> int:
    """Sends on one connection after the other. Returns how many of them the front closed."""
    closed = 0
    client = RawClient(served.port)
    for number in range(chunks):
        if not client.send(chunk(number)):
            closed += 1
            client.close()
            client = RawClient(served.port)
    closed += client.is_closed()  # the last bytes may not have been read yet
    client.close()
    return closed


def test_rapid_reset() -> None:
    """110,000 streams are opened and reset at once, and the server goes on."""
    each = 100

    def chunk(number: int) -> bytes:
        first = number * each
        block = head()
        return b"".join(
            frame(HEADERS, END_HEADERS, 2 * (first + place) + 1, block)
            + frame(RST_STREAM, 0, 2 * (first + place) + 1, struct.pack(">I", 8))
            for place in range(each)
        )

    with echoing() as served, ordinary_client(served, "rapid reset"):
        closed = flood(served, chunk, 1_100)
        assert closed > 0
        print(f"rapid reset: {closed} connections closed")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("PING", frame(PING, payload=bytes(8))),
        ("SETTINGS", frame(SETTINGS)),
        ("PRIORITY", frame(2, 0, 1, bytes(5))),
    ],
)
def test_floods_of_frames(name: str, data: bytes) -> None:
    """100,000 frames that cause work and have no content do no harm."""
    with echoing() as served, ordinary_client(served, f"{name} flood"):
        closed = flood(served, lambda _: data * 100, 1_000)
        assert closed > 0
        print(f"{name} flood: {closed} connections closed")


def test_a_flood_of_empty_data() -> None:
    """Empty DATA frames on open streams do no harm."""

    def chunk(number: int) -> bytes:
        stream = 2 * number + 1
        return frame(HEADERS, END_HEADERS, stream, head(CHAT)) + frame(DATA, 0, stream) * 100

    with echoing() as served, ordinary_client(served, "empty DATA flood"):
        assert flood(served, chunk, 1_000) > 0


def test_continuation_flood() -> None:
    """The connection with an endless header block is closed, and its bytes are freed."""
    with echoing() as served, ordinary_client(served, "CONTINUATION flood"):
        client = RawClient(served.port)
        client.send(frame(HEADERS, 0, 1, head()))
        piece = frame(CONTINUATION, 0, 1, echo.literal("x-filler", "x" * 1000))
        sent = 0
        while sent < 100_000 and client.send(piece):
            sent += 1
        assert client.is_closed()
        client.close()
        print(f"CONTINUATION flood: closed after {sent} frames at most")


def test_headers_of_200_kilobytes() -> None:
    """Headers of 200 kB are refused, and nothing else happens."""
    with echoing() as served, ordinary_client(served, "headers of 200 kB"):
        with grpc.insecure_channel(served.address, [("grpc.max_metadata_size", 2**20)]) as channel:
            with pytest.raises(grpc.RpcError) as raised:
                caller(channel)(b"", metadata=[("x-filler", "x" * 200_000)], timeout=60)
            assert raised.value.code() is not grpc.StatusCode.OK
        with grpc.insecure_channel(served.address) as channel:
            assert caller(channel)(b"ok", timeout=60) == b"ok"


def test_a_decompression_bomb() -> None:
    """200 MB compressed to 1 MB are refused at the limit, and never inflated whole."""
    bomb = gzip.compress(bytes(200_000_000), 1)[:MAX_MESSAGE]
    data = b"\1" + struct.pack(">I", len(bomb)) + bomb
    with echoing() as served, ordinary_client(served, "decompression bomb"):
        client = RawClient(served.port, struct.pack(">HI", 4, 2**20))
        client.send(frame(HEADERS, END_HEADERS, 1, head(grpc_encoding="gzip")))
        for start in range(0, len(data), 16_000):
            piece = data[start : start + 16_000]
            client.send(frame(DATA, END_STREAM if start + 16_000 >= len(data) else 0, 1, piece))
        answered = next(
            payload for kind, _, stream, payload in client.frames() if kind == HEADERS and stream == 1
        )
        assert answered
        client.close()


def test_many_small_bombs_at_once() -> None:
    """Messages of 1 kB inflate to 1 MB each. They arrive together, and a few of them are kept."""
    bomb = gzip.compress(bytes(MAX_MESSAGE))
    data = b"\1" + struct.pack(">I", len(bomb)) + bomb
    streams = range(1, 2 * BOMBS, 2)
    with echoing() as served:
        client = RawClient(served.port, struct.pack(">HI", 4, 0))  # it takes no response
        assert next(kind for kind, flags, _, _ in client.frames() if kind == SETTINGS and flags)
        assert forget_peak()
        before = peak_bytes()
        headers = (frame(HEADERS, END_HEADERS, each, head(grpc_encoding="gzip")) for each in streams)
        whole = (frame(DATA, END_STREAM, each, data) for each in streams)
        client.send(b"".join(part for pair in zip(headers, whole, strict=True) for part in pair))
        assert client.is_closed()  # it held more than the others
        grown = peak_bytes() - before
        client.close()
    print(f"{BOMBS} small bombs: memory +{grown / 1e6:.1f} MB")
    assert grown < 20_000_000


def test_a_message_over_the_limit_is_refused_while_it_arrives() -> None:
    """The announced size is enough for the refusal. The rest need not arrive."""
    with echoing() as served:
        client = RawClient(served.port)
        client.send(frame(HEADERS, END_HEADERS, 1, head()))
        client.send(frame(DATA, 0, 1, b"\0" + struct.pack(">I", MAX_MESSAGE + 1)))
        kinds = {kind for kind, _, stream, _ in _until_end(client, 1) if stream == 1}
        assert kinds == {HEADERS, RST_STREAM}
        client.close()


def _until_end(client: RawClient, stream: int) -> Iterator[tuple[int, int, int, bytes]]:
    for each in client.frames():
        yield each
        if each[0] == RST_STREAM and each[2] == stream:
            return


def test_windows_of_0() -> None:
    """Clients ask for responses and do not take them.

    The one that holds most is closed, and the others go on.
    """
    asked = message(bytes(60_000))
    with echoing() as served, ordinary_client(served, "windows of 0"):
        greedy = [RawClient(served.port, struct.pack(">HI", 4, 0)) for _ in range(8)]
        for client in greedy:
            client.send(frame(WINDOW_UPDATE, payload=struct.pack(">I", 2**30)))
            for number in range(50):
                stream = 2 * number + 1
                sent = client.send(frame(HEADERS, END_HEADERS, stream, head()))
                for start in range(0, len(asked), 16_000):
                    last = END_STREAM if start + 16_000 >= len(asked) else 0
                    sent = sent and client.send(frame(DATA, last, stream, asked[start : start + 16_000]))
        assert served.front.held <= 4 * MAX_MESSAGE + 70_000
        for client in greedy:
            client.close()


def test_an_answer_that_nobody_takes_is_dropped_in_time() -> None:
    """After `stall_seconds` without progress the connection is closed."""
    with echoing(stall_seconds=0.5) as served:
        client = RawClient(served.port, struct.pack(">HI", 4, 0))
        client.send(frame(HEADERS, END_HEADERS, 1, head()) + frame(DATA, END_STREAM, 1, message(b"x" * 100)))
        assert client.is_closed()
        client.close()


def test_a_message_that_stops_half_way_is_dropped_in_time() -> None:
    """The same holds for a message that a client began to send."""
    with echoing(stall_seconds=0.5) as served:
        client = RawClient(served.port)
        client.send(frame(HEADERS, END_HEADERS, 1, head()) + frame(DATA, 0, 1, message(b"x" * 100)[:50]))
        assert client.is_closed()
        client.close()


def test_half_open_connections_are_closed_in_time() -> None:
    """A client that sends nothing is closed after `handshake_seconds`."""
    with echoing(handshake_seconds=0.5) as served:
        silent = [socket.create_connection(("127.0.0.1", served.port), timeout=60) for _ in range(20)]
        assert all(client.recv(1024) is not None and _ended(client) for client in silent)


def _ended(client: socket.socket) -> bool:
    while client.recv(1024):
        pass
    client.close()
    return True


def test_a_peer_that_is_dead_is_noticed() -> None:
    """After silence the front sends a PING, and closes the connection without a response."""
    with echoing(keepalive_seconds=0.4, keepalive_timeout=0.4) as served:
        client = RawClient(served.port)
        assert any(kind == PING for kind, _, _, _ in client.frames())
        client.close()


def test_a_connection_of_age_gets_a_goodbye() -> None:
    """An old connection gets GOAWAY, and is closed when its calls have ended."""
    with echoing(max_age=0.5) as served:
        client = RawClient(served.port)
        kinds = [kind for kind, _, _, _ in client.frames()]
        assert 7 in kinds  # GOAWAY
        client.close()


def test_1000_idle_connections() -> None:
    """Idle connections cost a bounded amount of memory, and no time."""
    with echoing() as served:
        before = resident()
        with ordinary_client(served, "1,000 idle connections"):
            idle = [RawClient(served.port) for _ in range(1_000)]
            until(lambda: served.front.connections >= 1_000)
            assert served.front.connections >= 1_000  # none was closed for the others
        grown = resident() - before
        print(f"1,000 idle connections: {grown / 1e6:.0f} kB each, both ends")
        assert grown < ALLOWED_MEGABYTES * 1e6
        for client in idle:
            client.close()


def test_what_is_not_http2_is_closed() -> None:
    """HTTP/1.1, TLS on a port without it, and random bytes are closed."""
    with echoing() as served:
        for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes.fromhex("1603010200"), bytes(100)):
            client = socket.create_connection(("127.0.0.1", served.port), timeout=60)
            client.sendall(noise.ljust(64, b"\r"))
            assert _ended(client)
