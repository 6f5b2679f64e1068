"""Streams over the compiled core against servers that end, refuse and stay silent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from policy_api.v1 import policy_pb2
from policyd import PolicyClient, errors
from tests.policyd.client.wire import scripted
from tests.policyd.client.wire.needed import needs_wire
from tests.policyd.client.wire.scripted import PING, RESET, Script, Serve, frame

pytestmark = needs_wire

ROW = np.zeros((1, 4), np.float32)
REFUSED = (7).to_bytes(4, "big")


def _message(stream: int, version: int) -> bytes:
    response = policy_pb2.ActResponse(policy="p", version=version, batch_size=1)
    response.actions.raw = bytes(8)
    body = policy_pb2.StreamActResponse(response=response, pinned=True).SerializeToString()
    return scripted.message(stream, body)


def answers(number: int, stream: int) -> bytes:
    """Version n responds to the n-th message, as if the stream began with the first."""
    return (scripted.begun(stream) if number == 1 else b"") + _message(stream, number)


def test_messages_are_answered_in_turn_over_one_connection(serve: Serve) -> None:
    """Calls before and after the stream use the same connection."""
    server = serve(answers)
    with PolicyClient(server.address, timeout=60) as client:
        with client.stream() as stream:
            assert [stream.act(ROW).version for _ in range(5)] == [1, 2, 3, 4, 5]
            assert stream.pinned
        server.script = lambda number, stream: scripted.answer(stream, b"")
        client.get_server_info()
    assert server.connections == 1


def test_a_stream_that_the_server_did_not_begin_is_begun_again(serve: Serve) -> None:
    """The stream begins again only with its first message: later ones depend on earlier ones."""
    refusal: Script = lambda number, stream: frame(RESET, 0, stream, REFUSED)  # noqa: E731
    server = serve(refusal)

    def second(number: int, stream: int) -> bytes:
        server.script = refusal
        return answers(1, stream)

    def first(number: int, stream: int) -> bytes | None:
        server.script = second
        return refusal(number, stream)

    server.script = first
    with PolicyClient(server.address, timeout=60) as client, client.stream() as stream:
        assert stream.act(ROW).version == 1
        for _ in range(2):
            with pytest.raises(errors.Unavailable) as caught:
                stream.act(ROW)
            assert caught.value.reason == "UNREACHABLE"
    assert server.requests == 3


def test_a_stream_that_the_server_ends_says_so(serve: Serve) -> None:
    """The stream raises its error, or says that it ended without one."""
    server = serve(lambda number, stream: answers(1, stream) + scripted.status(stream, b"0"))
    with PolicyClient(server.address, timeout=60) as client:
        with client.stream() as stream:
            assert stream.act(ROW).version == 1
            for _ in range(2):
                with pytest.raises(errors.Unavailable) as caught:
                    stream.act(ROW)
                assert caught.value.reason == "STREAM_ENDED"
        server.script = lambda number, stream: scripted.failed(stream, b"5", (b"grpc-message", b"gone"))
        with client.stream() as stream:
            for _ in range(2):
                with pytest.raises(errors.NotFound, match="gone"):
                    stream.act(ROW)


@pytest.mark.parametrize(
    "said",
    [
        lambda stream: None,
        lambda stream: bytes(50),
        lambda stream: _message(stream, 2) * 2,
        lambda stream: scripted.message(stream, b"\xff\xff"),
        lambda stream: scripted.message(stream, b"", told=2**31),
    ],
    ids=["lost", "odd", "two messages", "no message of the contract", "too large"],
)
def test_odd_answers_end_the_stream(serve: Serve, said: Callable[[int], bytes | None]) -> None:
    """Each odd response raises an error of the tree. A call over another connection works."""
    server = serve(lambda number, stream: answers(1, stream) if number == 1 else said(stream))
    with PolicyClient(server.address, timeout=60) as client:
        with client.stream(timeout=60) as stream:
            stream.act(ROW)
            with pytest.raises(errors.PolicydError):
                stream.act(ROW)
        server.script = lambda number, stream: scripted.answer(stream, b"")
        client.get_server_info()


def test_pings_are_answered_between_two_messages(serve: Serve) -> None:
    """An actor may take a long time for its next step."""
    server = serve(answers)
    with PolicyClient(server.address, timeout=60) as client, client.stream() as stream:
        stream.act(ROW)
        server.say(frame(PING, 0, 0, b"12345678"))
        assert server.acknowledged.wait(60)
        assert stream.act(ROW).version == 2


def test_a_stream_ends_with_its_client(serve: Serve) -> None:
    """A stream that nobody holds any more releases its connection without garbage collection."""
    server = serve(answers)
    with PolicyClient(server.address, timeout=60) as client:
        stream = client.stream()
        stream.act(ROW)
        client.close()
        with pytest.raises(errors.Unavailable) as caught:
            stream.act(ROW)
        assert caught.value.reason == "CANCELLED"
    server = serve(lambda number, stream: answers(1, stream))
    with PolicyClient(server.address, timeout=60) as client:
        for _ in range(40):  # more than the allowed number of connections
            client.stream().act(ROW)
        assert server.connections == 40
