"""A trainer whose repository is in object storage, on a real server."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from policy_api.v1 import training_pb2 as pb
from policy_api.v1.gate_pb2 import GateVerdict
from policy_api.v1.training_pb2_grpc import TrainingServiceStub
from policyd.repository import ModelRepository, PublishedVersion
from policyd.repository.report import REPORT
from policyd_trainer.service.command import serve as serve_command
from tests.policyd_trainer.service.conftest import Serve
from tests.s3 import ENVIRONMENT
from tests.stores import StoreServer
from tests.waiting import until

SETTINGS = {
    "total_timesteps": "3000",
    "n_envs": "8",
    "n_steps": "16",
    "candidates": "1",
    "evaluation_episodes": "5",
}


def _ended(stub: TrainingServiceStub, seed: int) -> pb.TrainingJob:
    spec = pb.TrainingSpec(
        policy="pole",
        env_id="CartPole-v1",
        algorithm="a2c",
        seed=seed,
        settings=SETTINGS,
        promotion=pb.Promotion(promote=True),
    )
    job = stub.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=spec)).job
    *_, last = stub.WatchTrainingJob(pb.WatchTrainingJobRequest(job_id=job.job_id), timeout=100)
    return last.job


def _await_report(repository: ModelRepository, version: int) -> PublishedVersion:
    published = repository.read("pole", version)
    until(lambda: REPORT in repository.added_files(published))  # a process of its own draws it after the job
    return published


@pytest.mark.long
def test_jobs_gate_logs_and_reports_are_there(serve: Serve, store: StoreServer, tmp_path: Path) -> None:
    """The second job is judged against the first one's champion. Logs and reports are there."""
    repository = ModelRepository(store.location())
    places = ("--jobs", f"sqlite:///{tmp_path / 'jobs.db'}", "--runs", str(tmp_path / "runs"))
    with serve(repository.location, *places) as address, grpc.insecure_channel(address) as channel:
        stub = TrainingServiceStub(channel)
        first, second = _ended(stub, seed=1), _ended(stub, seed=2)
        for number, job in enumerate((first, second), start=1):
            assert job.state == pb.TrainingJob.SUCCEEDED, job
            assert repository.verify("pole", job.result.version).job_id == job.job_id
            assert job.result.version == number
        assert first.result.verdict.outcome == GateVerdict.OUTCOME_FIRST_VERSION
        assert second.result.verdict.champion_version == 1
        assert repository.verdict("pole", 2) == second.result.verdict
        champion = repository.aliases("pole").aliases["champion"]
        assert champion == (2 if second.result.promoted else 1)
        log = stub.ReadTrainingJobLog(pb.ReadTrainingJobLogRequest(job_id=second.job_id))
        written = b"".join(piece.content for piece in log).decode()
        assert "INFO policyd_trainer" in written
        assert store.secret not in written
        for number in (1, 2):
            page = repository.read_added(_await_report(repository, number), REPORT).decode()
            assert "<html" in page
            assert store.secret not in page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--repository", "s3://bucket/prefix"], "holds no job table: give --jobs URL"),
        (["--repository", "s3://bucket/prefix", "--jobs", "sqlite:///jobs.db"], "give --runs FOLDER"),
        (["--repository", "folder", "--runs", "s3://bucket/runs"], "without --launcher ray"),
    ],
)
def test_what_cannot_be_in_object_storage_is_said(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A usage error names the missing option."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(serve_command, options)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_a_store_that_cannot_be_reached_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `--launcher ray` the store is asked before the trainer starts: an error in one line."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("the extra ray is not installed")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    location = "s3://bucket/prefix?endpoint=http://127.0.0.1:1"
    options = ["--repository", location, "--jobs", f"sqlite:///{tmp_path / 'jobs.db'}"]
    result = CliRunner().invoke(serve_command, [*options, "--launcher", "ray"])
    assert result.exit_code == 1
    assert result.output.startswith(
        f"Error: STORE_UNAVAILABLE: {location.replace('?', '/runs?')} cannot be reached"
    )
