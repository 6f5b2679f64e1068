"""One training job, seen from outside.

Its trace through server and trainer, and the trainer's metrics.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from examples.stack import Stack, StackSettings
from policy_api.v1.training_pb2 import (
    CreateTrainingJobRequest,
    JobLimits,
    TrainingJob,
    TrainingSpec,
    WatchTrainingJobRequest,
)
from policy_api.v1.training_pb2_grpc import TrainingServiceStub
from tests.collector import Collector, collecting
from tests.waiting import until

Metadata = tuple[tuple[str, str | bytes], ...]


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    """A collector and its address."""
    with collecting() as found:
        yield found


def test_a_job_is_one_trace_and_is_counted(tmp_path: Path, collector: tuple[Collector, str]) -> None:
    """Server, trainer and the worker's run are in one trace.

    Jobs are counted by state, with their duration.
    """
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
    """The client's id is in the logs of server, trainer and worker.

    The log of a failed worker stays.
    """
    stack = Stack(StackSettings(tmp_path, variables={"POLICYD_LOG_FORMAT": "json"}))
    with stack, grpc.insecure_channel(stack.server_address) as channel:
        job = train(TrainingServiceStub(channel), (("x-request-id", "ci/42"),), JobLimits(env_steps=500))
    assert job.failure.reason == "ENV_STEP_LIMIT"
    for name, logger in (
        ("server", "policyd.audit"),
        ("trainer", "policyd.audit"),
        ("trainer", "policyd_trainer.jobs.attempt"),
    ):
        lines = [json.loads(line) for line in (tmp_path / f"{name}.log").read_text().splitlines()]
        [line] = [line for line in lines if line["logger"] == logger]
        assert line["request_id"] == "ci/42"
    assert "request id ci/42" in next(tmp_path.rglob("worker.log")).read_text()


def train(stub: TrainingServiceStub, metadata: Metadata = (), limits: JobLimits | None = None) -> TrainingJob:
    """Runs a short job to its end."""
    spec = TrainingSpec(policy="cartpole", env_id="CartPole-v1", algorithm="reinforce")
    spec.settings.update(total_timesteps="50000000" if limits else "1000", evaluation_episodes="2")
    request = CreateTrainingJobRequest(spec=spec, limits=limits)
    created = stub.CreateTrainingJob(request, timeout=60, metadata=metadata).job
    watched = list(stub.WatchTrainingJob(WatchTrainingJobRequest(job_id=created.job_id), timeout=100))
    return watched[-1].job


def await_sample(folder: Path, wanted: str) -> None:
    """Waits for a line of the trainer's metrics.

    They are updated every two seconds.
    """
    found = re.search(r"metrics on (http://\S+)", (folder / "trainer.log").read_text())
    assert found is not None
    page = found[1]

    def is_there() -> bool:
        with urllib.request.urlopen(page, timeout=60) as answer:
            return wanted in answer.read().decode()

    until(is_there, lambda: f"no {wanted}")
