"""A supervisor at work, as the tests of this folder use it."""

import asyncio
import os
import select
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from policy_api.v1.training_pb2 import CreateTrainingJobRequest, TrainingJob, TrainingSpec
from policyd_trainer.jobs import states
from policyd_trainer.jobs.store import JobStore
from policyd_trainer.jobs.supervisor import Supervisor

STAND_IN = Path(__file__).with_name("stand_in.py")
PUBLISHER = Path(__file__).with_name("stand_in_publisher.py")
SPEC = TrainingSpec(policy="cartpole", env_id="CartPole-v1", algorithm="a2c")


class Room:
    """A running supervisor."""

    def __init__(self, store: JobStore, supervisor: Supervisor, runs: Path) -> None:
        self.store = store
        self.supervisor = supervisor
        self.runs = runs

    async def create(self, **fields: Any) -> TrainingJob:
        """Queues a job."""
        return await self.supervisor.create(CreateTrainingJobRequest(spec=SPEC, **fields))

    async def until(self, job_id: str, holds: Callable[[TrainingJob], bool]) -> TrainingJob:
        """Watches the job until a condition holds. Returns its last state in any case."""
        async for job in self.store.watch(job_id):
            if holds(job):
                return job
        return job

    async def end(self, job_id: str) -> TrainingJob:
        """The job when it has ended."""
        return await self.until(job_id, lambda _: False)


OpenRoom = Callable[..., AbstractAsyncContextManager[Room]]


def run(test: Coroutine[None, None, None]) -> None:
    """Runs an asynchronous test."""
    asyncio.run(test)


def wait_for_end(pid: int) -> None:
    """Returns when a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([descriptor], [], [])
    os.close(descriptor)


def is_running(job: TrainingJob) -> bool:
    """Whether a worker of the job has reported progress."""
    return job.state == states.RUNNING and job.HasField("progress")
