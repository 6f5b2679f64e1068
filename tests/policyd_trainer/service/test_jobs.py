"""Jobs through the service with the real worker.

From a request to a version, cancelled, resumed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from policy_api.v1 import training_pb2 as pb
from policy_api.v1.gate_pb2 import GateVerdict
from policy_api.v1.training_pb2_grpc import TrainingServiceStub
from policyd import errors
from policyd.repository import ModelRepository
from policyd.runtime import status
from tests.policyd_trainer.jobs.postgres import Postgres
from tests.policyd_trainer.service.conftest import Serve

SMALL = {
    "total_timesteps": "3000",
    "n_envs": "8",
    "n_steps": "16",
    "candidates": "1",
    "evaluation_episodes": "5",
}
LONG = SMALL | {"total_timesteps": "100000000", "checkpoint_seconds": "0.2"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repository")


@pytest.fixture(scope="module")
def stub(serve: Serve, folder: Path) -> Iterator[TrainingServiceStub]:
    with serve(folder) as address, grpc.insecure_channel(address) as channel:
        yield TrainingServiceStub(channel)


def _request(policy: str, settings: dict[str, str], request_id: str = "") -> pb.CreateTrainingJobRequest:
    spec = pb.TrainingSpec(
        policy=policy,
        env_id="CartPole-v1",
        algorithm="a2c",
        settings=settings,
        promotion=pb.Promotion(promote=True),
    )
    return pb.CreateTrainingJobRequest(spec=spec, request_id=request_id)


def _watch(
    stub: TrainingServiceStub, job_id: str, until: Callable[[pb.TrainingJob], bool] = lambda _: False
) -> list[pb.TrainingJob]:
    seen = []
    for answer in stub.WatchTrainingJob(pb.WatchTrainingJobRequest(job_id=job_id), timeout=100):
        seen.append(answer.job)
        if until(answer.job):
            break
    return seen


def test_from_a_request_to_a_version(stub: TrainingServiceStub, folder: Path) -> None:
    """Phases come in order, one version is promoted, and a repeated request is the same job."""
    request = _request("pole", SMALL, "request-1")
    job = stub.CreateTrainingJob(request).job
    assert (job.state, job.request_id) == (pb.TrainingJob.QUEUED, "request-1")
    seen = _watch(stub, job.job_id)
    ended = seen[-1]
    assert ended.state == pb.TrainingJob.SUCCEEDED, ended
    phases = [s.progress.phase for s in seen if s.HasField("progress")]
    order = [1, 2, 3, 6, 4, 5]  # COMPARING was added to the contract last
    assert [order.index(phase) for phase in phases] == sorted(order.index(phase) for phase in phases)
    assert phases[-1] == 5  # a watcher that is slow misses earlier ones
    assert (ended.progress.env_steps, ended.progress.total_env_steps) == (3000, 3000)
    result = ended.result
    assert (result.version, result.promoted, result.generation) == (1, True, 1)
    assert result.verdict.outcome == GateVerdict.OUTCOME_FIRST_VERSION
    repository = ModelRepository(folder)
    assert repository.verify("pole", 1).job_id == job.job_id
    assert repository.verdict("pole", 1) == result.verdict
    assert stub.CreateTrainingJob(request).job == ended
    with pytest.raises(grpc.RpcError) as refused:
        stub.CreateTrainingJob(_request("pole", LONG, "request-1"))
    assert isinstance(status.from_rpc_error(refused.value), errors.AlreadyExists)
    assert [entry.name for entry in (folder / "runs" / job.job_id).iterdir()] == ["worker.log"]
    log = stub.ReadTrainingJobLog(pb.ReadTrainingJobLogRequest(job_id=job.job_id))
    assert (
        b"".join(piece.content for piece in log) == (folder / "runs" / job.job_id / "worker.log").read_bytes()
    )


def _tells_all(job: pb.TrainingJob) -> bool:
    return job.progress.HasField("eta") and job.progress.HasField("mean_return")


def test_cancel_ends_a_training(stub: TrainingServiceStub, folder: Path) -> None:
    """A training reports its return and the remaining time. Its cancel leaves no version."""
    job_id = stub.CreateTrainingJob(_request("endless", LONG)).job.job_id
    assert _tells_all(_watch(stub, job_id, _tells_all)[-1])
    assert stub.CancelTrainingJob(pb.CancelTrainingJobRequest(job_id=job_id)).job.state in (
        pb.TrainingJob.CANCELLING,
        pb.TrainingJob.CANCELLED,
    )
    assert _watch(stub, job_id)[-1].state == pb.TrainingJob.CANCELLED
    with pytest.raises(errors.NotFound):
        ModelRepository(folder).versions("endless")


def test_a_stopped_trainer_goes_on_from_the_checkpoint(serve: Serve, tmp_path: Path) -> None:
    """SIGTERM to the trainer stops its worker at a step. The next trainer resumes there."""
    with serve(tmp_path) as address, grpc.insecure_channel(address) as channel:
        stub = TrainingServiceStub(channel)
        job_id = stub.CreateTrainingJob(_request("endless", LONG)).job.job_id
        before = _watch(stub, job_id, lambda job: job.progress.env_steps > 0)[-1]
    with serve(tmp_path) as address, grpc.insecure_channel(address) as channel:
        stub = TrainingServiceStub(channel)
        after = _watch(stub, job_id, lambda job: job.attempts == 2 and job.progress.phase == 1)[-1]
        assert after.progress.env_steps >= before.progress.env_steps
        stub.CancelTrainingJob(pb.CancelTrainingJobRequest(job_id=job_id))
        assert _watch(stub, job_id)[-1].state == pb.TrainingJob.CANCELLED


def test_a_trainer_that_lost_its_database_stops(postgres: Postgres, serve: Serve, tmp_path: Path) -> None:
    """The trainer ends with an error, because another trainer may own the jobs.

    The next one goes on.
    """
    jobs = ("--jobs", postgres.new_database())
    with (
        serve(tmp_path, *jobs, code=1) as address,
        grpc.insecure_channel(address) as channel,
    ):
        stub = TrainingServiceStub(channel)
        job_id = stub.CreateTrainingJob(_request("endless", LONG)).job.job_id
        _watch(stub, job_id, lambda job: job.progress.env_steps > 0)
        postgres.restart()
    with serve(tmp_path, *jobs) as address, grpc.insecure_channel(address) as channel:
        stub = TrainingServiceStub(channel)
        assert _watch(stub, job_id, lambda job: job.attempts == 2)[-1].state == pb.TrainingJob.RUNNING
        stub.CancelTrainingJob(pb.CancelTrainingJobRequest(job_id=job_id))
        assert _watch(stub, job_id)[-1].state == pb.TrainingJob.CANCELLED
