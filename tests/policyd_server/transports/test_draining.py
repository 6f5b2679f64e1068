"""A server that is told to end answers UNAVAILABLE, which clients retry.

Never CANCELLED, never INTERNAL.
"""

from __future__ import annotations

import itertools
import signal
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, nullcontext
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from policy_api.v1 import policy_pb2 as pb
from policy_api.v1 import policy_pb2_grpc
from policy_api.v1 import training_pb2 as tb
from policyd import errors
from policyd.runtime import status
from tests.policyd_server.front.echo import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    RST_STREAM,
    RawClient,
    frame,
    head,
    message,
)
from tests.policyd_server.http.trainer import Trainer
from tests.policyd_server.process import Publish, ServerProcess, StartServer

ACT = pb.ActRequest(policy="cartpole", observations=pb.FloatArray(raw=bytes(16)))
REFUSED_STREAM = struct.pack(">I", 7)  # clients of gRPC report UNAVAILABLE
CONNECTIONS, AT_ONCE, ANSWERS = 4, 20, 2000


class Load:
    """Clients that call all the time, each on its own connection, until a call fails."""

    def __init__(self, server: ServerProcess) -> None:
        self.ends: Counter[str] = Counter()
        self.warm = threading.Event()  # many calls have succeeded
        self._server = server
        self._threads = [threading.Thread(target=self._ask) for _ in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Returns when each client has got its first error.

        Calls that were under way have then ended, too.
        """
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        with grpc.insecure_channel(self._server.address, options=options) as channel:
            stub = policy_pb2_grpc.PolicyServiceStub(channel)
            failed = False
            while not failed:
                for call in [stub.Act.future(ACT, timeout=60) for _ in range(AT_ONCE)]:
                    failure: Any = call.exception(60)
                    failed = failed or failure is not None
                    self.ends["OK" if failure is None else failure.code().name] += 1
                if self.ends["OK"] > ANSWERS:
                    self.warm.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_calls_on_their_way_end_unavailable(
    publish: Publish, start_server: StartServer, number: signal.Signals
) -> None:
    """Under load, calls that meet the end get UNAVAILABLE. The log names the signal."""
    publish()
    server = start_server()
    load = Load(server)
    assert load.warm.wait(60)
    server.process.send_signal(number)
    load.join()
    assert set(load.ends) == {"OK", "UNAVAILABLE"}
    assert server.process.wait(60) == 0
    assert f"{number.name}: draining, then ending" in server.log


def test_streams_end_unavailable_as_soon_as_they_wait(publish: Publish, start_server: StartServer) -> None:
    """A stream between two requests does not delay the end, and gets a time to try again."""
    publish()
    server = start_server("--drain-seconds", "600")
    over = threading.Event()

    def requests() -> Iterator[pb.StreamActRequest]:
        yield pb.StreamActRequest(request=ACT, pin_version=True)
        over.wait(60)

    answers = server.policy.StreamAct(requests())
    assert next(answers).pinned
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(grpc.RpcError) as ended:
        next(answers)
    over.set()
    error = status.from_rpc_error(ended.value)
    assert isinstance(error, errors.Unavailable)
    assert error.retry_after == 1.0
    assert server.process.wait(60) == 0


@pytest.mark.parametrize("kind", ["no request yet", "Open Inference Protocol", "relayed", "health"])
def test_no_kind_of_open_stream_holds_the_end_up(
    kind: str, publish: Publish, start_server: StartServer
) -> None:
    """Each ends long before the time for running calls is over.

    It gets UNAVAILABLE, so that clients try elsewhere. A health watch gets the final status and OK.
    """
    publish()
    server = start_server("--drain-seconds", "600")
    over = threading.Event()
    answers = _open_stream(kind, server.channel, over)
    server.process.send_signal(signal.SIGTERM)
    with nullcontext() if kind == "health" else pytest.raises(grpc.RpcError):
        for _ in answers:
            pass
    over.set()
    assert answers.code() is (grpc.StatusCode.OK if kind == "health" else grpc.StatusCode.UNAVAILABLE)
    assert server.process.wait(60) == 0


@pytest.mark.parametrize("kind", ["StreamAct", "Open Inference Protocol", "relayed", "half a request"])
def test_a_client_that_does_nothing_does_not_hold_the_end_up(
    kind: str, publish: Publish, start_server: StartServer, transport: str
) -> None:
    """The client reads no response, or does not send the rest of its request.

    The front tells it that its call ends. gRPC's core cannot do that, so the connection is closed.
    """
    publish()
    server = start_server("--drain-seconds", "600")
    path, request = _asked(kind)
    sent = message(request)[: -1 if kind == "half a request" else None]
    # The setting keeps the server from sending until the client allows it.
    with closing(RawClient(int(server.address.rpartition(":")[2]), struct.pack(">HI", 4, 0))) as client:
        assert client.send(frame(HEADERS, END_HEADERS, 1, head(path)) + frame(DATA, 0, 1, sent))
        if kind == "half a request":
            client.send(frame(PING, payload=bytes(8)))  # the response comes after everything before it
        answer = (PING, END_STREAM) if kind == "half a request" else (HEADERS, END_HEADERS)
        frames = client.frames()
        assert answer in (each[:2] for each in frames)
        server.process.send_signal(signal.SIGTERM)
        told = [(kind, payload) for kind, _, stream, payload in frames if stream == 1]
        assert server.process.wait(60) == 0
    if transport == "front" and kind == "half a request":
        assert told[0][0] == HEADERS  # it has the status
    elif transport == "front" and kind != "relayed":
        assert told == [(RST_STREAM, REFUSED_STREAM)]


def test_a_client_that_sends_on_and_on_does_not_hold_the_end_up(
    publish: Publish, start_server: StartServer
) -> None:
    """The client's stream ends between two requests, although the next one has arrived."""
    publish()
    server = start_server("--drain-seconds", "600")
    answers = server.policy.StreamAct(itertools.repeat(pb.StreamActRequest(request=ACT)))
    next(answers)
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(grpc.RpcError) as ended:
        for _ in answers:
            pass
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    assert server.process.wait(60) == 0


@pytest.mark.parametrize("kind", ["job", "log"])
def test_who_follows_a_job_does_not_hold_the_end_up(
    kind: str, publish: Publish, start_server: StartServer
) -> None:
    """A job may take hours. Its watchers are told to try again elsewhere."""
    publish()
    trainer = Trainer()
    trainer.jobs["j"] = tb.TrainingJob(
        job_id="j", spec=tb.TrainingSpec(policy="endless"), state=tb.TrainingJob.RUNNING
    )
    server = start_server("--drain-seconds", "600", "--trainer", trainer.address)
    if kind == "job":
        answers: Any = server.training.WatchTrainingJob(tb.WatchTrainingJobRequest(job_id="j"))
    else:
        answers = server.training.ReadTrainingJobLog(tb.ReadTrainingJobLogRequest(job_id="j", follow=True))
    next(answers)
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(grpc.RpcError) as ended:
        for _ in answers:
            pass
    assert isinstance(status.from_rpc_error(ended.value), errors.Unavailable)
    assert server.process.wait(60) == 0
    trainer.stop()


def _asked(kind: str) -> tuple[str, bytes]:
    """The path of a method and a request for it."""
    if kind == "half a request":
        return "/policy_api.v1.PolicyService/Act", ACT.SerializeToString()
    if kind == "StreamAct":
        request = pb.StreamActRequest(request=ACT)
        return "/policy_api.v1.PolicyService/StreamAct", request.SerializeToString()
    if kind == "relayed":
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        return path, asked.SerializeToString()
    infer = service_pb2.ModelInferRequest(model_name="none")
    return "/inference.GRPCInferenceService/ModelStreamInfer", infer.SerializeToString()


def _open_stream(kind: str, channel: grpc.Channel, over: threading.Event) -> Any:
    """The responses of an open stream, which sends nothing more before `over`."""

    def requests(*first: Any) -> Iterator[Any]:
        yield from first
        over.wait(90)

    stub = policy_pb2_grpc.PolicyServiceStub(channel)
    if kind == "no request yet":
        answers = stub.StreamAct(requests())
        stub.Act(ACT, timeout=60)  # it goes the same way, after the stream's headers
        return answers
    if kind == "health":
        answers = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    elif kind == "relayed":
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(requests(asked))
    else:
        infer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer
        answers = infer(requests(service_pb2.ModelInferRequest(model_name="none")))
    next(answers)
    return answers


def test_a_call_that_takes_too_long_ends_unavailable(publish: Publish, start_server: StartServer) -> None:
    """After the time for running calls it gets UNAVAILABLE, instead of a silent cancellation."""
    publish()
    server = start_server("--drain-seconds", "0", "--trainer", "127.0.0.1:1")
    over = threading.Event()

    def requests() -> Iterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        over.wait(60)

    answers = reflection_pb2_grpc.ServerReflectionStub(server.channel).ServerReflectionInfo(requests())
    assert next(answers).HasField("list_services_response")
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(grpc.RpcError) as ended:
        next(answers)
    over.set()
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("transport", ["grpcio"])
def test_grpcio_takes_no_compressed_message(publish: Publish, start_server: StartServer) -> None:
    """The core of gRPC would inflate a message before the size is checked, which is bounded."""
    publish()
    server = start_server()
    with grpc.insecure_channel(server.address, compression=grpc.Compression.Gzip) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            policy_pb2_grpc.PolicyServiceStub(channel).Act(ACT, timeout=60)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "gzip" in str(refused.value.details())
