"""The server's latency beside a training job on the same machine, and without one.

The trainer gives its workers a lower priority than the server has.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.serving import h2load, processes
from benchmarks.serving.processes import Running
from benchmarks.serving.protocols import InvalidAnswer
from benchmarks.serving.results import TrainingMeasurement
from policy_api.v1.training_pb2 import TrainingJob, TrainingSpec
from policyd import PolicyClient

PART = "beside a training job"  # the name of this part of a run, in `Failure`
CONNECTIONS = (1, 8)
JOB_SECONDS = 120.0  # to the job's first steps, and to its end
SPEC = TrainingSpec(
    policy="bench-training",
    env_id="CartPole-v1",
    algorithm="a2c",
    settings={"total_timesteps": "1000000000"},  # it is cancelled long before
)


def start_trainer(folder: Path) -> Running:
    """Starts a trainer on a new repository. It has no job yet."""
    folder.mkdir()
    port_file = folder / "port"
    command = [sys.executable, "-m", "policyd_trainer", "serve", "--listen", "127.0.0.1:0"]
    command += ["--repository", str(folder / "repository"), "--port-file", str(port_file)]
    running = processes.start([command], log=folder / "log", cwd=folder)
    running.address = processes.read_address(port_file, running)
    return running


def measure(
    server: Running, trainer: Running, answer_bytes: int, number: int, seconds: float
) -> list[TrainingMeasurement]:
    """Measures one round: each number of connections without a job, then beside one."""
    alone = [_percentiles(server, answer_bytes, connections, seconds) for connections in CONNECTIONS]
    with _job(trainer):
        beside = [_percentiles(server, answer_bytes, connections, seconds) for connections in CONNECTIONS]
    return [
        TrainingMeasurement(connections, number, *without, *with_job)
        for connections, without, with_job in zip(CONNECTIONS, alone, beside, strict=True)
    ]


@contextmanager
def _job(trainer: Running) -> Iterator[None]:
    """A training job that takes steps from the start of the block to its end."""
    with PolicyClient(trainer.address) as client:
        job = client.create_training_job(SPEC).job_id
        for seen in client.watch_training_job(job, timeout=JOB_SECONDS):
            if seen.progress.env_steps:
                break
        yield
        found = client.get_training_job(job)
        client.cancel_training_job(job)
        client.wait_for_training_job(job, timeout=JOB_SECONDS)
    if found.state != TrainingJob.RUNNING:
        raise InvalidAnswer(f"the training job did not run: {found}")


def _percentiles(server: Running, answer_bytes: int, connections: int, seconds: float) -> tuple[float, float]:
    """The p50 and p99 in milliseconds of one run of h2load."""
    load = h2load.act(server.url, answer_bytes, connections, seconds)
    return load.percentile(50), load.percentile(99)
