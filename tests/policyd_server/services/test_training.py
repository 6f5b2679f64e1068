"""TrainingService through the server.

Forwarded whole, and refused well while there is no trainer.
"""

# ruff: noqa: N802 -- gRPC names the methods

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from policy_api.v1 import policy_pb2, training_pb2_grpc
from policy_api.v1 import training_pb2 as pb
from policyd.errors import InvalidArgument, Unavailable
from policyd.runtime import status
from policyd_server.services.trainer_channel import TrainerChannel
from policyd_server.services.training import SERVICE, TrainingForwarder
from tests import threaded_rpc
from tests.policyd_server.process import Publish, StartServer


class _Trainer(training_pb2_grpc.TrainingServiceServicer):
    """A trainer that records its calls."""

    def __init__(self) -> None:
        self.metadata: dict[str, str | bytes] = {}
        self.time_remaining = 0.0
        self.cancelled = threading.Event()

    @threaded_rpc.unary
    def CreateTrainingJob(
        self, request: pb.CreateTrainingJobRequest, context: grpc.ServicerContext
    ) -> pb.CreateTrainingJobResponse:
        self.metadata = dict(context.invocation_metadata())
        self.time_remaining = context.time_remaining()
        if request.spec.policy == "bad":
            raise InvalidArgument.of("settings[gamma]", got=2, wanted="0 to 1")
        context.set_trailing_metadata((("x-trailing", "yes"),))
        return pb.CreateTrainingJobResponse(job=pb.TrainingJob(job_id="7", spec=request.spec))

    @threaded_rpc.stream
    def WatchTrainingJob(
        self, request: pb.WatchTrainingJobRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchTrainingJobResponse]:
        context.add_callback(self.cancelled.set)
        for state in (pb.TrainingJob.QUEUED, pb.TrainingJob.RUNNING):
            yield pb.WatchTrainingJobResponse(job=pb.TrainingJob(job_id=request.job_id, state=state))
        if request.job_id == "endless":
            self.cancelled.wait(60)

    ReadTrainingJobLog = GetTrainingJob = ListTrainingJobs = CancelTrainingJob = None  # type: ignore[assignment]  # not called here
    CheckTrainingSpec = None  # type: ignore[assignment]  # not called here


@pytest.fixture
def trainer() -> Iterator[tuple[_Trainer, str]]:
    """A trainer's service in this process, and its address."""
    service = _Trainer()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    training_pb2_grpc.add_TrainingServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield service, f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_calls_go_through_whole(start_server: StartServer, trainer: tuple[_Trainer, str]) -> None:
    """Request, response, deadline and metadata pass in both directions.

    Credentials for this server do not.
    """
    service, address = trainer
    server = start_server("--trainer", address)
    request = pb.CreateTrainingJobRequest(spec=pb.TrainingSpec(policy="cartpole", seed=3))
    metadata = (("x-request-id", "42"), ("authorization", "Bearer secret"))
    answer, call = server.training.CreateTrainingJob.with_call(request, timeout=60, metadata=metadata)
    assert answer.job.job_id == "7"
    assert answer.job.spec == request.spec
    assert dict(call.trailing_metadata())["x-trailing"] == "yes"
    assert service.metadata["x-request-id"] == "42"
    assert "authorization" not in service.metadata
    assert 0 < service.time_remaining < 61  # gRPC rounds timeouts up


def test_errors_go_through_with_their_details(
    start_server: StartServer, trainer: tuple[_Trainer, str]
) -> None:
    """The trainer's violation arrives unchanged."""
    server = start_server("--trainer", trainer[1])
    with pytest.raises(grpc.RpcError) as raised:
        server.training.CreateTrainingJob(
            pb.CreateTrainingJobRequest(spec=pb.TrainingSpec(policy="bad")), timeout=60
        )
    error = status.from_rpc_error(raised.value)
    assert isinstance(error, InvalidArgument)
    assert error.violations[0].field == "settings[gamma]"


def test_a_watch_streams_and_its_cancellation_reaches_the_trainer(
    start_server: StartServer, trainer: tuple[_Trainer, str]
) -> None:
    """Each message is passed on at once. A client that stops watching ends the trainer's call."""
    service, address = trainer
    server = start_server("--trainer", address)
    watch = server.training.WatchTrainingJob(pb.WatchTrainingJobRequest(job_id="1"), timeout=60)
    assert [update.job.state for update in watch] == [pb.TrainingJob.QUEUED, pb.TrainingJob.RUNNING]
    service.cancelled.clear()
    endless = server.training.WatchTrainingJob(pb.WatchTrainingJobRequest(job_id="endless"), timeout=60)
    assert next(endless).job.state == pb.TrainingJob.QUEUED
    endless.cancel()
    assert service.cancelled.wait(60)


@pytest.mark.parametrize("kind", ["refuses", "silent"])
def test_without_a_trainer_training_is_unavailable_and_acting_goes_on(
    kind: str, publish: Publish, start_server: StartServer
) -> None:
    """Calls and streams get UNAVAILABLE with RetryInfo well within the deadline. Act works."""
    publish()
    with socket.socket() as peer:
        peer.bind(("127.0.0.1", 0))
        if kind == "silent":
            peer.listen(16)  # accepts connections and sends nothing
        server = start_server("--trainer", f"127.0.0.1:{peer.getsockname()[1]}")
        calls: list[Any] = [
            lambda: server.training.ListTrainingJobs(pb.ListTrainingJobsRequest(), timeout=60),
            lambda: list(
                server.training.WatchTrainingJob(pb.WatchTrainingJobRequest(job_id="1"), timeout=60)
            ),
        ]
        for call in calls:
            with pytest.raises(grpc.RpcError) as raised:
                call()
            error = status.from_rpc_error(raised.value)
            assert isinstance(error, Unavailable)
            assert (error.reason, error.retry_after) == ("TRAINER_UNAVAILABLE", 2.0)
        x = policy_pb2.FloatArray(values=[0, 0, 0, 0])
        assert server.policy.Act(policy_pb2.ActRequest(observations=x), timeout=60).version == 1


def test_a_trainer_that_comes_and_comes_back_is_found(start_server: StartServer) -> None:
    """Health reports each change, and then the same server forwards calls."""
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{place.getsockname()[1]}"
        server = start_server("--trainer", address)
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        changes = (
            change.status for change in health_pb2_grpc.HealthStub(server.channel).Watch(request, timeout=90)
        )
        assert next(changes) == health_pb2.HealthCheckResponse.NOT_SERVING
        for _ in range(2):
            trainer = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 1)])
            training_pb2_grpc.add_TrainingServiceServicer_to_server(_Trainer(), trainer)
            trainer.add_insecure_port(address)
            trainer.start()
            assert next(changes) == health_pb2.HealthCheckResponse.SERVING
            spec = pb.TrainingSpec(policy="cartpole")
            answer = server.training.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=spec), timeout=60)
            assert answer.job.job_id == "7"
            trainer.stop(None).wait()
            assert next(changes) == health_pb2.HealthCheckResponse.NOT_SERVING


def test_a_call_without_a_trainer_does_not_make_the_channel_try_for_ever() -> None:
    """The call fails and leaves the channel idle, instead of connecting again and again."""

    async def test(address: str) -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            server = grpc.aio.server()
            forwarder = TrainingForwarder(TrainerChannel(address, lambda: channel))
            handlers = dict(forwarder.handlers())
            server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as to_server:
                stub = training_pb2_grpc.TrainingServiceStub(to_server)
                with pytest.raises(grpc.aio.AioRpcError, match="cannot be reached"):
                    await stub.ListTrainingJobs(pb.ListTrainingJobsRequest(), timeout=60)
            await server.stop(None)
            assert channel.get_state() is grpc.ChannelConnectivity.IDLE

    with socket.socket() as peer:
        peer.bind(("127.0.0.1", 0))
        asyncio.run(test(f"127.0.0.1:{peer.getsockname()[1]}"))
