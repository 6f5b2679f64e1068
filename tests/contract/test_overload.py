"""What a busy server does: refuses, drops, takes turns.

Over both transports, with a policy that is slow.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from policy_api.v1.policy_pb2 import ActRequest, FloatArray
from policyd.errors import Exhausted
from policyd.repository import ModelRepository
from policyd.runtime import status
from tests.contract.conftest import Publish, ServerProcess, StartServer
from tests.policyd_server import artifacts
from tests.policyd_server.metrics.test_metrics import await_value, value

ROWS_OF_8_CALLS = 8 * 1024


@pytest.fixture(autouse=True)
def policies(repository: ModelRepository, publish: Publish) -> None:
    """`slow` always computes for tens of milliseconds; beside it there is a quick policy.

    `slow` has two versions.
    """
    described = artifacts.metadata("slow")
    for _ in range(2):
        repository.publish("slow", {"model.onnx": artifacts.slow(described)}, metadata=described)
    repository.set_alias("slow", "champion", 1, actor="", reason="")
    publish("quick")


def _request(policy: str = "slow", rows: int = 1, **fields: Any) -> ActRequest:
    raw = np.zeros((rows, 4), np.float32).tobytes()
    return ActRequest(policy=policy, observations=FloatArray(raw=raw), **fields)


def _call(server: ServerProcess, request: ActRequest, timeout: float = 60) -> Any:
    """Starts a call and returns its future. Calls of one channel arrive in their order."""
    return server.policy.Act.future(request, timeout=timeout)


def test_a_full_queue_refuses_at_once_and_says_when_to_try_again(start_server: StartServer) -> None:
    """Beyond --max-queue-rows a request gets RESOURCE_EXHAUSTED with RetryInfo.

    Waiting requests get their responses, and later ones, too.
    """
    server = start_server("--max-queue-rows", "4")
    calls = [_call(server, _request()) for _ in range(200)]
    refused = [error for call in calls if (error := call.exception()) is not None]
    assert 0 < len(refused) < len(calls)
    for failure in refused:
        error = status.from_rpc_error(failure)
        assert isinstance(error, Exhausted)
        assert (error.reason, error.retry_after) == ("QUEUE_FULL", 0.1)
    assert server.policy.Act(_request(), timeout=60).batch_size == 1


def test_who_has_no_time_left_is_not_computed_for(start_server: StartServer) -> None:
    """A request whose deadline passes while it waits is dropped before inference.

    On an overloaded machine one of them may get in between two calls, but not all five.
    """
    server = start_server("--metrics", "127.0.0.1:0")
    server.policy.Act(_request(version=2), timeout=60)  # the version is in memory from now on
    for _ in range(5):
        first = _call(server, _request(rows=ROWS_OF_8_CALLS))
        late = _call(server, _request(version=2), timeout=0.01)  # shorter than half of the first call
        assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        _call(server, _request(version=2)).cancel()
        first.result()
    server.policy.Act(_request("quick"), timeout=60)
    await_value(server, 1, "policyd_policy_rows_total", policy="quick", version="1")
    assert value(server, "policyd_policy_rows_total", policy="slow", version="2") < 1 + 5


def test_a_large_request_lets_small_ones_pass(start_server: StartServer) -> None:
    """A small request overtakes one of eight calls that came before it."""
    server = start_server()
    assert _overtakes_a_large_one(server, lambda: _call(server, _request()).result())


def test_a_draining_server_finishes_and_says_that_it_goes(start_server: StartServer, transport: str) -> None:
    """After SIGTERM new calls get UNAVAILABLE, and running calls get their responses.

    grpc.aio itself ends a call that arrives just as it shuts down with CANCELLED, at the latest
    when the drain ends.
    """
    server = start_server("--drain-seconds", "600")
    large = _call(server, _request(rows=ROWS_OF_8_CALLS))
    server.policy.Act(_request("quick"), timeout=60)  # so the large request has arrived
    server.process.send_signal(signal.SIGTERM)
    while (code := _call(server, _request("quick")).code()) is grpc.StatusCode.OK:
        pass
    crossed = [grpc.StatusCode.CANCELLED] if transport == "grpcio" else []
    assert code in [grpc.StatusCode.UNAVAILABLE, *crossed]
    assert large.result().batch_size == ROWS_OF_8_CALLS


def test_a_slow_policy_holds_up_nobody_else(start_server: StartServer) -> None:
    """While the slow policy computes, a quick policy and health respond."""
    server = start_server()
    health = health_pb2_grpc.HealthStub(server.channel)

    def others() -> None:
        assert _call(server, _request("quick")).result().policy == "quick"
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=60).status == 1

    assert _overtakes_a_large_one(server, others)


def _overtakes_a_large_one(server: ServerProcess, others: Callable[[], object]) -> bool:
    """Whether other calls end before one of eight calls that began before them.

    An overloaded machine can let the client wait until the large one has ended, but not each time.
    """

    def overtakes() -> bool:
        large = _call(server, _request(rows=ROWS_OF_8_CALLS))
        others()
        overtaken = not large.done()
        assert large.result().batch_size == ROWS_OF_8_CALLS
        return overtaken

    return any(overtakes() for _ in range(5))
