"""Several workers on one port are one server."""

from __future__ import annotations

import os
import queue
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from policy_api.v1 import policy_pb2 as pb
from policy_api.v1 import policy_pb2_grpc
from tests.policyd_server.process import Publish, ServerProcess, StartServer
from tests.waiting import until

REQUEST = pb.ActRequest(observations=pb.FloatArray(values=[0.1, 0.2, 0.3, 0.4]), seed=1)


@contextmanager
def _connections(server: ServerProcess, count: int) -> Iterator[list[grpc.Channel]]:
    """Separate connections, which the kernel distributes over the workers."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.insecure_channel(server.address, options=options) for _ in range(count)]
    try:
        yield channels
    finally:
        for channel in channels:
            channel.close()


def _workers(server: ServerProcess) -> set[int]:
    pid = server.process.pid
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _wait_for_health(server: ServerProcess, wanted: int) -> None:
    def seen() -> int:
        with _connections(server, 1) as (channel,):  # each check needs a connection of its own
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=60, wait_for_ready=True)
        status: int = answer.status
        return status

    until(lambda: seen() == wanted, seen)


def test_a_promotion_reaches_all_workers_before_it_answers(
    publish: Publish, start_server: StartServer
) -> None:
    """After SetAlias every connection gets the new version, and all responses are equal."""
    publish()
    publish(promote=False)
    server = start_server("--workers", "2", "--poll-interval", "3600")
    assert len(_workers(server)) == 2
    with _connections(server, 12) as channels:
        stubs = [policy_pb2_grpc.PolicyServiceStub(channel) for channel in channels]
        for version in (2, 1, 2):
            server.policy.SetAlias(pb.SetAliasRequest(version=version), timeout=60)
            answers = [stub.Act(REQUEST, timeout=60) for stub in stubs]
            assert {answer.version for answer in answers} == {version}
            assert len({answer.SerializeToString() for answer in answers}) == 1
    workers = _workers(server)
    assert server.stop() == 0
    assert not any(_runs(pid) for pid in workers)


def test_statistics_are_those_of_all_workers(publish: Publish, start_server: StartServer) -> None:
    """Each worker reports the sum of all, because load generators take differences."""
    publish()
    server = start_server("--workers", "2")
    with _connections(server, 12) as channels:
        stubs: list[Any] = [service_pb2_grpc.GRPCInferenceServiceStub(channel) for channel in channels]
        for rows, stub in enumerate(stubs, 1):
            stub.ModelInfer(_inference(rows), timeout=60)
        for name in ("cartpole", ""):
            asked = service_pb2.ModelStatisticsRequest(name=name)
            told = [stub.ModelStatistics(asked, timeout=60).model_stats for stub in stubs]
            assert {(one.name, one.version, one.inference_count) for (one,) in told} == {
                ("cartpole", "1", 78)
            }
            assert {one.inference_stats.success.count for (one,) in told} == {12}
            assert {one.last_inference for (one,) in told} != {0}


def _inference(rows: int) -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(
        model_name="cartpole", raw_input_contents=[np.zeros((rows, 4), np.float32).tobytes()]
    )
    request.inputs.add(name="observations", datatype="FP32", shape=[rows, 4])
    return request


def test_health_is_good_once_the_server_is_announced(publish: Publish, start_server: StartServer) -> None:
    """Each worker says so, even right after the start."""
    publish()
    server = start_server("--workers", "2")
    with _connections(server, 12) as channels:
        stubs = [health_pb2_grpc.HealthStub(channel) for channel in channels]
        calls = [stub.Check.future(health_pb2.HealthCheckRequest(), timeout=60) for stub in stubs]
        assert {call.result().status for call in calls} == {health_pb2.HealthCheckResponse.SERVING}


def test_a_worker_that_dies_is_replaced(publish: Publish, start_server: StartServer) -> None:
    """Health is false while a worker is missing. Another one starts, and acting goes on."""
    publish()
    server = start_server("--workers", "2")
    before = _workers(server)
    os.kill(min(before), signal.SIGKILL)
    _wait_for_health(server, health_pb2.HealthCheckResponse.NOT_SERVING)
    with _connections(server, 1) as (channel,):
        answer = policy_pb2_grpc.PolicyServiceStub(channel).Act(REQUEST, timeout=60, wait_for_ready=True)
        assert answer.version == 1
    _wait_for_health(server, health_pb2.HealthCheckResponse.SERVING)
    assert len(_workers(server)) == 2
    assert _workers(server) != before


def test_workers_end_with_their_supervisor(publish: Publish, start_server: StartServer) -> None:
    """If the supervisor is killed, no worker is left."""
    publish()
    server = start_server("--workers", "2")
    workers = _workers(server)
    assert [_runs(pid) for pid in workers] == [True, True]
    server.kill()
    until(lambda: not any(_runs(pid) for pid in workers))
    assert [_runs(pid) for pid in workers] == [False, False]


def test_a_hung_worker_is_noticed_and_replaced(publish: Publish, start_server: StartServer) -> None:
    """Health and SetAlias report the truth while it hangs.

    Afterwards every connection gets responses again.
    """
    publish()
    publish(promote=False)
    server = start_server("--workers", "2", "--poll-interval", "3600")
    before = _workers(server)
    hung = min(before)
    with _connections(server, 16) as channels:
        stubs = [policy_pb2_grpc.PolicyServiceStub(channel) for channel in channels]
        for stub in stubs:
            stub.Act(REQUEST, timeout=60)
        _stop(hung)
        told = _end_of(_answering(stubs).SetAlias.future(pb.SetAliasRequest(version=2), timeout=60))
        if told is not None:  # None: on a very busy machine, the worker has already been replaced
            assert told.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert f"worker {hung} does not follow yet" in str(told.details())
    _wait_for_health(server, health_pb2.HealthCheckResponse.SERVING)
    assert hung not in _workers(server)
    assert f"worker {hung} answered no heartbeat" in server.log
    with _connections(server, 12) as channels:
        answers = [policy_pb2_grpc.PolicyServiceStub(c).Act(REQUEST, timeout=60) for c in channels]
    assert {answer.version for answer in answers} == {2}


def _stop(pid: int) -> None:
    """Sends SIGSTOP and waits: until the signal arrives, the process may still respond."""
    os.kill(pid, signal.SIGSTOP)
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    while any((thread / "stat").read_text().rpartition(")")[2].split()[0] != "T" for thread in threads):
        time.sleep(0.001)  # it is not our child: there is no event to wait for


def _answering(stubs: list[policy_pb2_grpc.PolicyServiceStub]) -> policy_pb2_grpc.PolicyServiceStub:
    """A stub whose connection goes to a worker that is not stopped.

    It is the first connection that gets a response.
    """
    answered: queue.SimpleQueue[policy_pb2_grpc.PolicyServiceStub] = queue.SimpleQueue()
    for stub in stubs:
        stub.Act.future(REQUEST, timeout=60).add_done_callback(partial(_put, answered, stub))
    return answered.get(timeout=60)


def _put(answered: queue.SimpleQueue[Any], stub: Any, _: Any) -> None:
    answered.put(stub)


def _end_of(call: Any) -> Any:
    """The error of a call, or None."""
    return call.exception()
