"""Jobs on a Ray cluster of two nodes, and kill -9 of a node, of the trainer, of the head.

`make ray`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from policy_api.v1.training_pb2 import (
    CancelTrainingJobRequest,
    CreateTrainingJobRequest,
    JobResources,
    TrainingJob,
    TrainingSpec,
    WatchTrainingJobRequest,
)
from policyd.repository.objects import ObjectStorage
from policyd_trainer.jobs.launcher import Attempted
from policyd_trainer.jobs.on_ray.launcher import RayLauncher
from tests.e2e.crash.matrix import ENDED, trial
from tests.e2e.crash.ray_system import RaySystem
from tests.ray_cluster import TRIES, VARIABLES
from tests.s3 import S3Server

pytestmark = [
    pytest.mark.skipif("POLICYD_RAY" not in os.environ, reason="starts Ray clusters: make ray"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def system(s3: S3Server, jobs_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RaySystem]:
    """A system with versions and checkpoints on S3. The machines share no folder."""
    system = RaySystem(tmp_path_factory.mktemp("ray"), s3.location(), jobs_url, concurrency=2)
    yield system
    system.close()


def create(
    system: RaySystem, zone: str, steps: int = 500_000_000, settings: Mapping[str, str] | None = None
) -> str:
    common = {"total_timesteps": str(steps), "n_envs": "8", "n_steps": "16", "checkpoint_seconds": "0.2"}
    asked = {**common, "evaluation_episodes": "10", **(settings or {})}
    spec = TrainingSpec(policy=f"zone-{zone}", env_id="CartPole-v1", algorithm="a2c", settings=asked)
    resources = JobResources(cpus=1, labels={"zone": zone})
    request = CreateTrainingJobRequest(spec=spec, resources=resources)
    return system.trainer.CreateTrainingJob(request, wait_for_ready=True, timeout=60).job.job_id


def until_learning(system: RaySystem, job_id: str, *, attempts: int = 1) -> TrainingJob:
    """The job when this attempt reports its first progress."""
    watch = system.trainer.WatchTrainingJob(WatchTrainingJobRequest(job_id=job_id), timeout=300)
    return next(
        answer.job
        for answer in watch
        if answer.job.state in ENDED or (answer.job.attempts == attempts and answer.job.progress.env_steps)
    )


def cancelled(system: RaySystem, job_id: str) -> TrainingJob:
    system.trainer.CancelTrainingJob(CancelTrainingJobRequest(job_id=job_id), timeout=60)
    *_, last = system.trainer.WatchTrainingJob(WatchTrainingJobRequest(job_id=job_id), timeout=120)
    return last.job


def test_jobs_run_where_their_labels_say_and_are_cancelled(system: RaySystem) -> None:
    """Two jobs run at once on two nodes. Cancelling ends all their processes."""
    jobs = [create(system, zone) for zone in "ab"]
    for job_id in jobs:
        assert until_learning(system, job_id).state == TrainingJob.RUNNING
    nodes = [system.cluster.node_of(system.worker(job_id)) for job_id in jobs]
    assert nodes == system.cluster.nodes
    for job_id in jobs:
        began = time.monotonic()
        assert cancelled(system, job_id).state == TrainingJob.CANCELLED
        print(f"cancelled after {time.monotonic() - began:.2f} s")  # noqa: T201
        assert system.workers(job_id) == []


def test_a_restarted_trainer_follows_the_same_worker(system: RaySystem) -> None:
    """The worker goes on when the trainer dies.

    The process and the attempt stay the same, and then there is a version.
    """
    job_id = create(system, "a", steps=400_000)
    until_learning(system, job_id)
    worker = system.worker(job_id)
    system.kill("trainer", job_id)
    assert worker in system.workers(job_id)
    system.restore()
    *_, last = system.trainer.WatchTrainingJob(
        WatchTrainingJobRequest(job_id=job_id), wait_for_ready=True, timeout=300
    )
    assert (last.job.state, last.job.attempts) == (TrainingJob.SUCCEEDED, 1)


def test_a_job_resumes_on_another_node(system: RaySystem) -> None:
    """The node of the job dies. The next attempt resumes from the checkpoint on another node.

    Cancelling still works.
    """
    job_id = create(system, "b")
    before = until_learning(system, job_id)
    storage = system.repository.storage
    assert isinstance(storage, ObjectStorage)
    while not storage.client.size(f"runs/{job_id}/checkpoint.pkl"):
        time.sleep(0.05)  # another machine uploads it
    first = system.cluster.node_of(system.worker(job_id))
    system.kill("node", job_id)
    system.cluster.add("zone=b")
    after = until_learning(system, job_id, attempts=2)
    assert after.state == TrainingJob.RUNNING, after
    assert after.progress.env_steps >= before.progress.env_steps
    assert after.progress.env_steps > 128  # a fresh start would have reported its first rollout
    assert system.cluster.node_of(system.worker(job_id)) is not first
    assert cancelled(system, job_id).state == TrainingJob.CANCELLED


def test_a_job_collects_on_another_node(system: RaySystem) -> None:
    """The job uses the only processor of its node, so its rollout worker is on the other node."""
    settings = {"rollout_workers": "1", "rollout_backend": '"ray"'}
    job_id = create(system, "a", steps=3_000, settings=settings)
    *_, last = system.trainer.WatchTrainingJob(WatchTrainingJobRequest(job_id=job_id), timeout=300)
    assert last.job.state == TrainingJob.SUCCEEDED, last.job
    assert last.job.progress.env_steps >= 3_000


@pytest.mark.parametrize(
    ("victim", "phase"), [("node", "TRAINING"), ("trainer", "PUBLISHING"), ("head", "TRAINING")]
)
def test_exactly_one_version_comes_out(system: RaySystem, victim: str, phase: str) -> None:
    """Whatever is killed, the job ends with one version, promoted once, which the server serves."""
    outcome = trial(system, victim, phase)
    assert outcome.wrong == (), outcome


def test_a_bridge_that_has_lost_its_cluster_ends(system: RaySystem, tmp_path: Path) -> None:
    """The bridge ends even if it is idle, or if another head has the same address.

    Otherwise Ray's client can leave calls waiting for ever. A bridge that ends is replaced.
    """
    log = tmp_path / "log"
    bridge = connected_bridge(system.cluster.address, log)
    try:
        system.cluster.head.kill()
        system.restore()
        assert bridge.wait(300) == 1
    finally:
        bridge.kill()
        bridge.communicate()
    assert "the cluster" in log.read_text()


def connected_bridge(address: str, log: Path) -> subprocess.Popen[bytes]:
    """A bridge that is connected. On a slow machine Ray's own 30 s can be over before that."""
    command = [sys.executable, "-P", "-m", "policyd_trainer.jobs.on_ray", address, "test"]
    for _ in range(TRIES):
        with log.open("wb") as errors:
            bridge = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # an open stdin, so that the bridge does not end
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | VARIABLES,
            )
        assert bridge.stdout is not None
        if b"ready" in bridge.stdout.readline():
            return bridge
        bridge.communicate()
    raise AssertionError(log.read_text())


def test_a_missing_cluster_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says once what is wrong. The job waits, and the trainer can stop."""
    said = asyncio.Event()

    def tell(record: logging.LogRecord) -> bool:
        said.set()
        return True

    caplog.handler.addFilter(tell)

    async def test() -> None:
        launcher = RayLauncher("127.0.0.1:1", "test")
        worker = await launcher.start(Attempted(TrainingJob(job_id="job"), ["python"], tmp_path, ran=0.0))
        await said.wait()
        assert not worker.has_ended
        await launcher.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(test())
    assert "the Ray cluster at 127.0.0.1:1 cannot be used" in caplog.messages[0]
