"""The TrainingService over gRPC, from a real process to the generated stub."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from policy_api.v1 import training_pb2 as pb
from policy_api.v1.gate_pb2 import GateConfig
from policy_api.v1.training_pb2_grpc import TrainingServiceStub
from policyd import errors
from policyd.runtime import status
from tests.policyd_trainer.service.conftest import ROOT, Serve

SPEC = pb.TrainingSpec(
    policy="cartpole", env_id="CartPole-v1", algorithm="a2c", settings={"total_timesteps": "1000"}
)


def _refused(call: Callable[[], object]) -> errors.PolicydError:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return status.from_rpc_error(refused.value)


def _changed(**fields: object) -> pb.CreateTrainingJobRequest:
    request = pb.CreateTrainingJobRequest(spec=SPEC)
    request.spec.MergeFrom(pb.TrainingSpec(**fields))  # type: ignore[arg-type]  # fields by name
    return request


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("policy", _changed(policy="../etc")),
        ("algorithm", _changed(algorithm="dqn")),
        ("settings[gamma]", _changed(settings={"gamma": "2"})),
        ("settings[gama]", _changed(settings={"gama": "0.9"})),
        ("spec.env_id", _changed(env_id="Nope-v0")),
        ("spec.env_id", _changed(env_id="Taxi-v3")),  # Gymnasium has removed it
        ("settings[env_kwargs]", _changed(settings={"env_kwargs": '{"nope": 1}'})),
        ("settings[init_from]", _changed(init_from="champion", settings={"init_from": "1"})),
        ("spec.promotion.gate.margin", _changed(promotion=pb.Promotion(gate=GateConfig(margin=-1)))),
        ("priority", pb.CreateTrainingJobRequest(spec=SPEC, priority=101)),
        ("limits.env_steps", pb.CreateTrainingJobRequest(spec=SPEC, limits=pb.JobLimits(env_steps=-1))),
        ("spec.promotion.alias", _changed(promotion=pb.Promotion(alias="Big Boss"))),
        ("spec.promotion.min_return", _changed(promotion=pb.Promotion(min_return=float("nan")))),
        ("request_id", pb.CreateTrainingJobRequest(spec=SPEC, request_id="x" * 129)),
    ],
)
def test_bad_requests_name_the_field(
    stub: TrainingServiceStub, field: str, request_: pb.CreateTrainingJobRequest
) -> None:
    """The error is INVALID_ARGUMENT with the field's path."""
    error = _refused(lambda: stub.CreateTrainingJob(request_))
    assert isinstance(error, errors.InvalidArgument)
    assert [violation.field for violation in error.violations] == [field]


def test_a_spec_can_be_checked_without_a_job(stub: TrainingServiceStub) -> None:
    """The check refuses what creating refuses, returns every setting, and queues nothing."""
    before = len(stub.ListTrainingJobs(pb.ListTrainingJobsRequest()).jobs)
    checked = stub.CheckTrainingSpec(pb.CheckTrainingSpecRequest(spec=SPEC))
    assert checked.settings["total_timesteps"] == "1000"
    assert "gamma" in checked.settings
    for wrong, field in (
        (_changed(settings={"gamma": "2"}), "settings[gamma]"),
        (_changed(env_id="Nope-v0"), "spec.env_id"),
    ):
        request = pb.CheckTrainingSpecRequest(spec=wrong.spec)
        error = _refused(lambda request=request: stub.CheckTrainingSpec(request))  # type: ignore[misc]  # bound now
        assert isinstance(error, errors.InvalidArgument)
        assert [violation.field for violation in error.violations] == [field]
    assert len(stub.ListTrainingJobs(pb.ListTrainingJobsRequest()).jobs) == before


def test_environments_need_permission(stub: TrainingServiceStub) -> None:
    """By default no module is imported for a request."""
    request = pb.CreateTrainingJobRequest(spec=_changed(env_id="os:Anything-v0").spec)
    error = _refused(lambda: stub.CreateTrainingJob(request))
    assert isinstance(error, errors.PermissionDenied)
    assert "os:Anything-v0" in error.message


def test_unknown_jobs_and_pages(stub: TrainingServiceStub) -> None:
    """NOT_FOUND names the job, and INVALID_ARGUMENT the page's field."""
    calls: list[Callable[[], object]] = [
        lambda: stub.GetTrainingJob(pb.GetTrainingJobRequest(job_id="nobody")),
        lambda: stub.CancelTrainingJob(pb.CancelTrainingJobRequest(job_id="nobody")),
        lambda: list(stub.WatchTrainingJob(pb.WatchTrainingJobRequest(job_id="nobody"))),
    ]
    for call in calls:
        error = _refused(call)
        assert isinstance(error, errors.NotFound)
        assert "nobody" in error.message
    bad_pages = [
        lambda: stub.ListTrainingJobs(pb.ListTrainingJobsRequest(page_size=-1)),
        lambda: stub.ListTrainingJobs(pb.ListTrainingJobsRequest(page_token="x")),
        lambda: stub.ListTrainingJobs(pb.ListTrainingJobsRequest(page_token="9" * 5000)),
    ]
    assert all(isinstance(_refused(call), errors.InvalidArgument) for call in bad_pages)


def test_health_and_reflection(address: str) -> None:
    """The service says that it serves, and describes itself."""
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "policy_api.v1.TrainingService"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        (listed,) = reflection.ServerReflectionInfo(iter([request]))
        names = {service.name for service in listed.list_services_response.service}
        assert "policy_api.v1.TrainingService" in names


def test_what_is_taken_is_said_in_one_line(serve: Serve, tmp_path: Path) -> None:
    """A second trainer, an address in use, or a bad database URL gives one message.

    The exit code is 1.
    """

    def refused(*options: str, repository: Path) -> str:
        command = [
            sys.executable,
            "-m",
            "policyd_trainer",
            "serve",
            "--repository",
            str(repository),
            *options,
        ]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert "Traceback" not in ended.stderr
        assert "Warning" not in ended.stderr
        return ended.stderr

    with serve(tmp_path / "repository"):
        shown = refused("--listen", "127.0.0.1:0", repository=tmp_path / "repository")
        assert "another trainer owns the jobs" in shown
        assert shown.startswith("Error: JOBS_ARE_OWNED: ")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"cannot listen on {address}" in refused("--listen", address, repository=tmp_path / "other")
    assert "mysql://" in refused("--jobs", "mysql://x", repository=tmp_path / "other")


def test_the_service_starts_without_torch(tmp_path: Path) -> None:
    """Validating and queueing need no torch, whose import takes seconds and much memory."""
    code = "import sys, policyd_trainer.service.command; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
