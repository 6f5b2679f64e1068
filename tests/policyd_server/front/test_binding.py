"""The C front against gRPC's own client: messages, streams, compression, errors, goodbye."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest

from tests.policyd_server.compiled.needed import needs_front
from tests.policyd_server.front.echo import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_MESSAGE,
    PING,
    EchoFront,
    RawClient,
    caller,
    echoing,
    frame,
    head,
    message,
    talk,
)  # fmt: skip

pytestmark = needs_front
GOAWAY = 7


@pytest.fixture
def served() -> Iterator[EchoFront]:
    with echoing() as front:
        yield front


@pytest.fixture
def channel(served: EchoFront) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(served.address) as channel:
        yield channel


@pytest.mark.parametrize("size", [0, 1, 5, 16_379, 16_384, 65_536, MAX_MESSAGE])
def test_a_message_of_any_size_comes_back(channel: grpc.Channel, size: int) -> None:
    """Empty messages, those that fill frames and windows exactly, and the largest come back."""
    payload = bytes(range(256)) * (size // 256 + 1)
    assert caller(channel)(payload[:size], timeout=60) == payload[:size]


def test_a_stream_is_answered_in_order_and_ends(channel: grpc.Channel) -> None:
    """Many messages of mixed sizes, some of them empty, come back, and then the stream ends."""
    sent = [bytes([number % 256]) * (number * 37 % 5000) for number in range(300)]
    assert list(talk(channel)(iter(sent), timeout=60)) == sent


@pytest.mark.parametrize("kind", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_understood(channel: grpc.Channel, kind: grpc.Compression) -> None:
    """A message that the client compresses comes back unchanged."""
    assert caller(channel)(b"again " * 10_000, timeout=60, compression=kind) == b"again " * 10_000


def test_many_calls_at_once_get_their_own_answers(channel: grpc.Channel) -> None:
    """There are twice as many as a connection may have in flight. The rest wait at the client."""
    calls = [caller(channel).future(str(number).encode(), timeout=60) for number in range(200)]
    assert [call.result() for call in calls] == [str(number).encode() for number in range(200)]


def test_a_message_that_is_too_large_is_refused_with_details(channel: grpc.Channel) -> None:
    """The status has any text and all its details. The connection goes on."""
    with pytest.raises(grpc.RpcError) as raised:
        caller(channel)(bytes(MAX_MESSAGE + 1), timeout=60)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert raised.value.details() == "too large: 100 % too large"
    told: Any = raised.value.trailing_metadata()
    assert dict(told)["grpc-status-details-bin"] == b"\x08\x08"
    assert caller(channel)(b"next", timeout=60) == b"next"


def test_a_call_whose_time_is_over_ends(served: EchoFront, channel: grpc.Channel) -> None:
    """The call ends with DEADLINE_EXCEEDED, and nothing of it is left."""
    served.echoes = False
    with pytest.raises(grpc.RpcError) as raised:
        caller(channel)(b"x", timeout=0.2)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    served.echoes = True
    assert caller(channel)(b"next", timeout=60) == b"next"
    assert served.front.calls == 0
    codes, buckets, _ = served.front.counted(0)
    assert codes[0] == 1
    assert codes[1] + codes[4] == 1  # the first clock decides: CANCELLED or DEADLINE_EXCEEDED
    assert sum(buckets) == 2


def test_other_methods_fail_where_nobody_is_behind(channel: grpc.Channel) -> None:
    """Without a server behind the front, other methods end with UNAVAILABLE instead of waiting."""
    with pytest.raises(grpc.RpcError) as raised:
        caller(channel, "/test.Other/Method")(b"", timeout=60)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_goodbye_lets_calls_end(served: EchoFront, channel: grpc.Channel) -> None:
    """After `drain` a stream goes on until its client ends it. New connections are refused."""
    more, sent = threading.Event(), iter([b"first"])

    def requests() -> Iterator[bytes]:
        yield next(sent)
        more.wait(60)
        yield b"second"

    stream = talk(channel)(requests(), timeout=60)
    assert next(stream) == b"first"
    served.front.drain()
    with grpc.insecure_channel(served.address) as late:
        calls = (caller(late).future(b"", timeout=60) for _ in range(1_000))
        code = next(code for call in calls if (code := call.code()) is not grpc.StatusCode.OK)
    assert code is grpc.StatusCode.UNAVAILABLE
    more.set()
    assert list(stream) == [b"second"]


def test_the_last_answer_is_not_lost_when_the_connection_ends(served: EchoFront) -> None:
    """Unread bytes would reset the socket and drop the response, so they are read first."""
    with closing(RawClient(served.port)) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, head()) + frame(DATA, END_STREAM, 1, message(b"last")))
        frames = client.frames()
        assert any(kind == DATA for kind, *_ in frames)
        served.front.drain()
        assert client.send(frame(PING, payload=bytes(8)) * 100)
        assert GOAWAY in [kind for kind, *_ in frames]
        assert client.send(frame(PING, payload=bytes(8)) * 100)
        assert client.socket.recv(1) == b""
