"""A supervisor at work, as the tests of this folder use it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from policy_api.v1.training_pb2 import CreateTrainingJobRequest, TrainingJob, TrainingSpec
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
