"""StreamAct: in order, pinned where asked, held back by a slow reader."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from policy_api.v1 import policy_pb2 as pb
from policyd.errors import FailedPrecondition, InvalidArgument
from policyd.runtime import status
from tests.contract.conftest import Publish, StartServer


def _request(value: float = 0.0, **fields: object) -> pb.ActRequest:
    x = np.array([value, 0, 0, 0], np.float32)
    return pb.ActRequest(observations=pb.FloatArray(raw=x.tobytes()), seed=1, **fields)  # type: ignore[arg-type]


class _Sent:
    """Messages that the test sends one by one."""

    def __init__(self) -> None:
        self._messages: queue.Queue[pb.StreamActRequest | None] = queue.Queue()

    def __iter__(self) -> Iterator[pb.StreamActRequest]:
        yield from iter(self._messages.get, None)

    def send(self, **fields: object) -> None:
        self._messages.put(pb.StreamActRequest(**({"request": _request()} | fields)))  # type: ignore[arg-type]

    def end(self) -> None:
        self._messages.put(None)


def test_answers_come_in_order(publish: Publish, start_server: StartServer) -> None:
    """Of a thousand messages sent without waiting, response i is what Act gives for message i."""
    publish()
    server = start_server()
    requests = [_request(i / 100, first_row=i) for i in range(1000)]
    messages = (pb.StreamActRequest(request=request) for request in requests)
    answers = list(server.policy.StreamAct(messages, timeout=60))
    assert len(answers) == 1000
    for i in range(0, 1000, 100):
        assert answers[i].response == server.policy.Act(requests[i], timeout=60)
        assert not answers[i].pinned


def test_a_pin_keeps_its_version_through_promotions(publish: Publish, start_server: StartServer) -> None:
    """From pin_version to unpin_version one version responds.

    That holds even for a version that nothing else keeps in memory.
    """
    publish()
    publish(promote=False)
    server = start_server("--extra-versions", "0")
    sent = _Sent()
    answers = server.policy.StreamAct(iter(sent), timeout=60)
    sent.send(pin_version=True)
    first = next(answers)
    assert (first.response.version, first.pinned) == (1, True)
    server.policy.SetAlias(pb.SetAliasRequest(version=2), timeout=60)
    sent.send()
    second = next(answers)
    assert (second.response.version, second.pinned) == (1, True)
    sent.send(unpin_version=True)
    third = next(answers)
    assert (third.response.version, third.pinned) == (2, False)
    sent.end()
    assert list(answers) == []


def test_a_pin_that_nobody_uses_expires(publish: Publish, start_server: StartServer) -> None:
    """After pin-seconds the version is released, and the stream says so."""
    publish()
    server = start_server("--pin-seconds", "0.05")
    sent = _Sent()
    answers = server.policy.StreamAct(iter(sent), timeout=60)
    sent.send(pin_version=True)
    assert next(answers).pinned
    time.sleep(0.5)  # the pause is what is tested
    sent.send()
    with pytest.raises(grpc.RpcError) as raised:
        next(answers)
    sent.end()
    error = status.from_rpc_error(raised.value)
    assert isinstance(error, FailedPrecondition)
    assert error.reason == "PIN_EXPIRED"


def test_the_first_error_ends_the_stream(publish: Publish, start_server: StartServer) -> None:
    """A bad message ends the stream with its status. A pinned stream refuses another version."""
    publish()
    publish(promote=False)
    server = start_server()
    messages = [
        pb.StreamActRequest(request=_request(), pin_version=True),
        pb.StreamActRequest(request=_request(version=2)),
    ]
    answers = server.policy.StreamAct(iter(messages), timeout=60)
    assert next(answers).response.version == 1
    with pytest.raises(grpc.RpcError) as raised:
        next(answers)
    error = status.from_rpc_error(raised.value)
    assert isinstance(error, InvalidArgument)
    assert error.violations[0].field == "version"
