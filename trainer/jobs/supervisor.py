"""Runs queued jobs: one worker process for each, some of them side by side."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from policy_api.v1.training_pb2 import TrainingFailure, TrainingJob, TrainingSpec, WorkerEvent
from repository import ModelRepository
from trainer.jobs import states
from trainer.jobs.orphans import kill_orphans
from trainer.jobs.outcome import result_of, worker_died
from trainer.jobs.progress import AttemptProgress
from trainer.jobs.store import JobStore
from trainer.jobs.worker import Worker, log_tail, train_command

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How much runs, waits and is tried."""

    concurrency: int = 1  # jobs that run side by side
    max_queued: int = 100  # jobs that wait
    max_attempts: int = 3  # workers of a job, in sequence, of which none got further than those before
    stop_seconds: float = 10.0  # for workers to write a checkpoint when the trainer stops


class Supervisor:
    """Owns the workers. Runs in one event loop."""

    def __init__(
        self,
        store: JobStore,
        repository: ModelRepository,
        runs: Path,
        limits: Limits,
        command: Callable[..., list[str]] = train_command,
    ) -> None:
        self._store = store
        self._repository = repository
        self._runs = runs
        self._limits = limits
        self._command = command
        self._workers: dict[str, Worker] = {}
        self._attempts: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopping = False

    async def create(self, spec: TrainingSpec, request_id: str) -> TrainingJob:
        """Queues a job, once per request id. AlreadyExists, Exhausted."""
        table, queue = self._store.table, self._limits.max_queued
        job = await self._store.read(table.create, spec, request_id=request_id, max_queued=queue)
        self._wake.set()
        return job

    async def cancel(self, job_id: str) -> TrainingJob:
        """Asks for the end of a job; its worker is killed with all its children. NotFound."""
        job = await self._store.change(job_id, self._store.table.request_cancel, job_id)
        if job.state == states.CANCELLING and job_id in self._workers:
            self._workers[job_id].kill()
        return job

    async def run(self) -> None:
        """Takes up what an earlier trainer left, then runs what is queued, until it is stopped."""
        await self._recover()
        while not self._stopping:
            self._wake.clear()
            while len(self._attempts) < self._limits.concurrency and (job := await self._claim()):
                attempt = asyncio.create_task(self._attempt(job))
                self._attempts.add(attempt)
                attempt.add_done_callback(self._attempt_done)
            await self._wake.wait()

    async def stop(self) -> None:
        """Lets the workers write a checkpoint and queues their jobs again."""
        self._stopping = True
        self._wake.set()
        for worker in self._workers.values():
            worker.terminate()
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=self._limits.stop_seconds)
        for worker in self._workers.values():
            worker.kill()
        if self._attempts:
            await asyncio.wait(self._attempts)

    async def _claim(self) -> TrainingJob | None:
        return None if self._stopping else await self._store.read(self._store.table.claim)

    def _attempt_done(self, attempt: asyncio.Task[None]) -> None:
        self._attempts.discard(attempt)
        self._wake.set()
        if not attempt.cancelled() and (error := attempt.exception()) is not None:
            _LOG.error("a job's attempt ended unexpectedly", exc_info=error)

    async def _attempt(self, job: TrainingJob) -> None:
        table, run_dir = self._store.table, self._runs / job.job_id
        command = self._command(
            job.spec, job_id=job.job_id, repository=self._repository.root, run_dir=run_dir
        )
        worker = await Worker.start(command, job_id=job.job_id, run_dir=run_dir)
        self._workers[job.job_id] = worker
        try:
            await self._store.change(job.job_id, table.worker_started, job.job_id, worker.group)
            if self._stopping:
                worker.terminate()
            if (await self._store.read(table.get, job.job_id)).state == states.CANCELLING:
                worker.kill()
            last = await self._follow(job.job_id, worker)
            code = await worker.wait()
        finally:
            worker.kill()
            del self._workers[job.job_id]
        _LOG.info("job %s: worker %d ended with %d", job.job_id, worker.group, code)
        await self._settle(job.job_id, last, code)

    async def _follow(self, job_id: str, worker: Worker) -> WorkerEvent:
        progress = AttemptProgress()
        last = WorkerEvent()
        async for event in worker.events():
            if event.HasField("progress"):
                shown = progress.update(event.progress)
                await self._store.change(job_id, self._store.table.progressed, job_id, shown)
            else:
                last = event
        return last

    async def _settle(self, job_id: str, last: WorkerEvent, code: int | None) -> None:
        """Ends the job or queues it again. `code` None: its worker ended together with an earlier trainer."""
        if not await self._moved_on(job_id, last, code):  # then it is being cancelled
            await self._finish_cancel(job_id)
        await asyncio.to_thread(self._clean_up, await self._store.read(self._store.table.get, job_id))

    async def _moved_on(self, job_id: str, last: WorkerEvent, code: int | None) -> bool:
        table, change = self._store.table, self._store.change
        tail = await asyncio.to_thread(log_tail, self._runs / job_id / "worker.log")
        if last.HasField("result"):
            return await change(job_id, table.succeed, job_id, last.result)
        if last.HasField("failure"):
            failure = TrainingFailure(
                reason=last.failure.reason,
                message=last.failure.message,
                log_tail=last.failure.log_tail or tail,
            )
            return await change(job_id, table.fail, job_id, failure)
        if self._stopping:
            return await change(job_id, table.requeue, job_id, uncounted=True)
        if await self._store.read(table.fruitless_attempts, job_id) < self._limits.max_attempts:
            return await change(job_id, table.requeue, job_id)
        job = await self._store.read(table.get, job_id)
        return await change(job_id, table.fail, job_id, worker_died(code, job.attempts, tail))

    async def _finish_cancel(self, job_id: str) -> None:
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

    def _clean_up(self, job: TrainingJob) -> None:
        self._repository.sweep()
        if job.state in (states.SUCCEEDED, states.CANCELLED):  # a failed job's log stays for people
            shutil.rmtree(self._runs / job.job_id, ignore_errors=True)

    async def _recover(self) -> None:
        table = self._store.table
        for job in await self._store.read(table.in_state, states.RUNNING, states.CANCELLING):
            group = await self._store.read(table.worker_group, job.job_id)
            if group is not None:
                await asyncio.to_thread(kill_orphans, group, job.job_id)
            if job.state == states.CANCELLING:
                await self._finish_cancel(job.job_id)
            else:
                await self._settle(job.job_id, WorkerEvent(), None)
        await asyncio.to_thread(self._repository.sweep)
