"""What the jobs' table keeps about the workers of a job: attempts, progress and running time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from policy_api.v1.training_pb2 import TrainingProgress
from policyd_trainer.jobs.records import to_json
from policyd_trainer.jobs.schema import jobs

# How much further a worker must get for its attempt to count as fruitful: a share of the whole job,
# or batches if the job has no end.
_PROGRESS = 0.01


@dataclass(frozen=True)
class Bookkeeping:
    """What only the supervisor needs to know about one job's workers."""

    worker_group: int | None  # process id of the last worker's guardian, on its machine
    fruitless_attempts: int  # started since a worker last got further than any before it
    run_seconds: float  # over all workers


class WorkerAccounts:
    """The accounts of all jobs, in the database of the jobs' table."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, job_id: str) -> Bookkeeping:
        """The accounts of a job."""
        query = sa.select(jobs.c.worker_group, jobs.c.fruitless_attempts, jobs.c.run_seconds)
        with self._engine.connect() as connection:
            row = connection.execute(query.where(jobs.c.job_id == job_id)).one()
        return Bookkeeping(*row)

    def worker_started(self, job_id: str, group: int) -> None:
        """Stores the process id of the guardian of the job's worker."""
        self._update(job_id, {"worker_group": group})

    def progressed(self, job_id: str, progress: TrainingProgress, ran: float = 0.0) -> None:
        """Stores progress, and the seconds that the worker ran since the last call.

        If an attempt gets further than any before it, the count of fruitless attempts starts again.
        """
        reached = max(progress.fraction, float(progress.learning.batches))
        further = jobs.c.furthest + _PROGRESS < reached
        values = {
            "progress": to_json(progress),
            "run_seconds": jobs.c.run_seconds + ran,
            "fruitless_attempts": sa.case((further, 1), else_=jobs.c.fruitless_attempts),
            "furthest": sa.case((further, reached), else_=jobs.c.furthest),
        }
        self._update(job_id, values)

    def ran(self, job_id: str, seconds: float) -> None:
        """Adds to the time that the job's workers have run."""
        self._update(job_id, {"run_seconds": jobs.c.run_seconds + seconds})

    def _update(self, job_id: str, values: dict[str, Any]) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(values))
