"""What becomes of a job when an attempt at it has ended."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from policy_api.v1.training_pb2 import TrainingFailure, TrainingJob
from repository import ModelRepository
from trainer.jobs import states
from trainer.jobs.attempt import Ending
from trainer.jobs.outcome import result_of, worker_died
from trainer.jobs.store import JobStore
from trainer.jobs.worker import log_tail


class Settlement:
    """Moves jobs on, by what their workers said and by what was published."""

    def __init__(self, store: JobStore, repository: ModelRepository, runs: Path, max_attempts: int) -> None:
        self._store = store
        self._repository = repository
        self._runs = runs
        self._max_attempts = max_attempts

    async def settle(self, job_id: str, ending: Ending, *, uncounted: bool = False) -> None:
        """Ends the job or queues it again. `uncounted`: the trainer is stopping, the job is not to blame."""
        if not await self._moved_on(job_id, ending, uncounted=uncounted):
            await self.finish_cancel(job_id)  # the only state that it cannot be moved on from
        job = await self._store.read(self._store.table.get, job_id)
        await asyncio.to_thread(self._clean_up, job)

    async def finish_cancel(self, job_id: str) -> None:
        """CANCELLING to CANCELLED, or to SUCCEEDED where its version is out already."""
        table, repository = self._store.table, self._repository
        job = await self._store.read(table.get, job_id)
        published = await asyncio.to_thread(repository.find_job, job.spec.policy, job_id)
        if published is None:
            await self._store.change(job_id, table.cancelled, job_id)
            return
        state = await asyncio.to_thread(repository.aliases, job.spec.policy)
        alias = job.spec.promotion.alias or "champion"
        result = result_of(published, state, alias, repository.root)
        await self._store.change(job_id, table.succeed, job_id, result)

    async def _moved_on(self, job_id: str, ending: Ending, *, uncounted: bool) -> bool:
        table, change, last = self._store.table, self._store.change, ending.last
        if last.HasField("result"):
            return await change(job_id, table.succeed, job_id, last.result)
        tail = await asyncio.to_thread(log_tail, self._runs / job_id / "worker.log")
        if last.HasField("failure"):
            failure = TrainingFailure()
            failure.CopyFrom(last.failure)
            failure.log_tail[:] = last.failure.log_tail or tail
            return await change(job_id, table.fail, job_id, failure)
        books = await self._store.read(table.bookkeeping, job_id)
        if uncounted or books.fruitless_attempts < self._max_attempts:
            return await change(job_id, table.requeue, job_id, uncounted=uncounted)
        job = await self._store.read(table.get, job_id)
        return await change(job_id, table.fail, job_id, worker_died(ending.exit_code, job.attempts, tail))

    def _clean_up(self, job: TrainingJob) -> None:
        self._repository.sweep()
        if job.state in (states.SUCCEEDED, states.CANCELLED):  # a failed job's log stays for people
            shutil.rmtree(self._runs / job.job_id, ignore_errors=True)
