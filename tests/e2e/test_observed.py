"""One training job, seen from outside: its trace through server and trainer, and the trainer's metrics."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from examples.stack import Stack, StackSettings
from policy_api.v1.training_pb2 import (
    CreateTrainingJobRequest,
    JobLimits,
    TrainingJob,
    TrainingSpec,
    WatchTrainingJobRequest,
)
from policy_api.v1.training_pb2_grpc import TrainingServiceStub

Metadata = tuple[tuple[str, str | bytes], ...]


class Collector(TraceServiceServicer):
    """Keeps the spans that are sent to it: service, name, trace, span and parent."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, bytes, bytes, bytes]] = []
        self._came = threading.Condition()

    def Export(  # noqa: N802 -- gRPC's name
        self, request: pb.ExportTraceServiceRequest, context: Any
    ) -> pb.ExportTraceServiceResponse:
        """Takes spans."""
        with self._came:
            for resource in request.resource_spans:
                [service] = [a for a in resource.resource.attributes if a.key == "service.name"]
                for scope in resource.scope_spans:
                    for s in scope.spans:
                        name = service.value.string_value
                        self.spans.append((name, s.name, s.trace_id, s.span_id, s.parent_span_id))
            self._came.notify_all()
        return pb.ExportTraceServiceResponse()

    def span(self, service: str, name: str) -> tuple[str, str, bytes, bytes, bytes]:
        """Waits for the first span of a service whose name ends so."""

        def found() -> list[tuple[str, str, bytes, bytes, bytes]]:
            return [s for s in self.spans if s[0] == service and s[1].endswith(name)]

        with self._came:
            assert self._came.wait_for(found, 30), self.spans
            return found()[0]


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    """A collector and its address."""
    collector = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield collector, f"http://127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.mark.timeout(300)  # processes of torch on a shared machine
def test_a_job_is_one_trace_and_is_counted(tmp_path: Path, collector: tuple[Collector, str]) -> None:
    """Server, trainer and the worker's run hang together; jobs are counted by state, with their duration."""
    spans, endpoint = collector
    variables = {"POLICYD_TRACE": endpoint, "POLICYD_METRICS": "127.0.0.1:0"}
    with Stack(StackSettings(tmp_path, variables=variables)) as stack:
        with grpc.insecure_channel(stack.server_address) as channel:
            job = train(TrainingServiceStub(channel))
        assert job.state == TrainingJob.SUCCEEDED
        asked = spans.span("policyd-server", "CreateTrainingJob")
        taken = spans.span("policyd-trainer", "CreateTrainingJob")
        run = spans.span("policyd-trainer", "job")
        assert asked[2] == taken[2] == run[2]
        assert taken[4] == asked[3]
        assert run[4] == taken[3]
        await_sample(tmp_path, 'policyd_jobs{state="SUCCEEDED"} 1.0')
        await_sample(tmp_path, 'policyd_job_duration_seconds_count{state="SUCCEEDED"} 1.0')
        await_sample(tmp_path, 'grpc_server_handled_total{grpc_code="OK",grpc_method="CreateTrainingJob"')


def test_a_jobs_log_lines_have_its_request_id(tmp_path: Path) -> None:
    """The id that the client brought, at server, trainer and worker; the log of a failed worker stays."""
    stack = Stack(StackSettings(tmp_path, variables={"POLICYD_LOG_FORMAT": "json"}))
    with stack, grpc.insecure_channel(stack.server_address) as channel:
        job = train(TrainingServiceStub(channel), (("x-request-id", "ci/42"),), JobLimits(env_steps=500))
    assert job.failure.reason == "ENV_STEP_LIMIT"
    for name, logger in (
        ("server", "policyd.audit"),
        ("trainer", "policyd.audit"),
        ("trainer", "trainer.jobs.attempt"),
    ):
        lines = [json.loads(line) for line in (tmp_path / f"{name}.log").read_text().splitlines()]
        [line] = [line for line in lines if line["logger"] == logger]
        assert line["request_id"] == "ci/42"
    assert "request id ci/42" in next(tmp_path.rglob("worker.log")).read_text()


def train(stub: TrainingServiceStub, metadata: Metadata = (), limits: JobLimits | None = None) -> TrainingJob:
    """A short job, to its end."""
    spec = TrainingSpec(policy="cartpole", env_id="CartPole-v1", algorithm="reinforce")
    spec.settings.update(total_timesteps="50000000" if limits else "1000", evaluation_episodes="2")
    request = CreateTrainingJobRequest(spec=spec, limits=limits)
    created = stub.CreateTrainingJob(request, timeout=20, metadata=metadata).job
    watched = list(stub.WatchTrainingJob(WatchTrainingJobRequest(job_id=created.job_id), timeout=100))
    return watched[-1].job


def await_sample(folder: Path, wanted: str) -> None:
    """Waits for a line of the trainer's metrics, which are brought up to date every other second."""
    found = re.search(r"metrics on (http://\S+)", (folder / "trainer.log").read_text())
    assert found is not None
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with urllib.request.urlopen(found[1], timeout=10) as answer:
            if wanted in answer.read().decode():
                return
        time.sleep(0.2)  # a poll over HTTP: there is no event to wait for
    raise AssertionError(f"no {wanted}")
