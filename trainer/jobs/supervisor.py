"""Runs queued jobs: one worker process for each, some of them side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from policy_api import log
from policy_api.errors import Unavailable
from policy_api.v1.training_pb2 import CreateTrainingJobRequest, TrainingJob
from repository import ModelRepository
from trainer.jobs import states
from trainer.jobs.attempt import Attempt, Ending
from trainer.jobs.limits import Limits, check_priority
from trainer.jobs.origin import Origin
from trainer.jobs.orphans import kill_orphans
from trainer.jobs.settlement import Settlement
from trainer.jobs.store import JobStore
from trainer.jobs.worker import train_command

_LOG = logging.getLogger(__name__)
Span = Callable[[str, str], AbstractContextManager[None]]
_RETRY_SECONDS = 1.0  # between tries to reach a database that does not answer


def untraced(job_id: str, parent: str) -> AbstractContextManager[None]:  # noqa: ARG001 -- nobody is told
    """The span where nothing is traced."""
    return nullcontext()


class Supervisor:
    """Owns the workers. Runs in one event loop."""

    def __init__(
        self,
        store: JobStore,
        repository: ModelRepository,
        runs: Path,
        limits: Limits,
        command: Callable[..., list[str]] = train_command,
        span: Span = untraced,
    ) -> None:
        """`span`: what a worker's run is traced by; of a job's id and the trace that asked for it."""
        self._store = store
        self._repository = repository
        self._runs = runs
        self._limits = limits
        self._command = command
        self._settlement = Settlement(store, repository, runs, limits.max_attempts)
        self._span = span
        self._attempts: dict[str, Attempt] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()

    async def create(self, request: CreateTrainingJobRequest) -> TrainingJob:
        """Queues a job, once per request id. InvalidArgument, AlreadyExists, Exhausted."""
        job = await self._store.read(
            self._store.table.create,
            request.spec,
            request_id=request.request_id,
            max_queued=self._limits.max_queued,
            priority=check_priority(request.priority),
            limits=self._limits.applied(request.limits),
            origin=Origin.current(),
        )
        self._wake.set()
        return job

    async def cancel(self, job_id: str) -> TrainingJob:
        """Asks for the end of a job; its worker is killed with all its children. NotFound."""
        job = await self._store.change(job_id, self._store.table.request_cancel, job_id)
        if job.state == states.CANCELLING and job_id in self._attempts:
            self._attempts[job_id].kill()
        return job

    async def run(self) -> None:
        """Takes up what an earlier trainer left, then runs what is queued, until it is stopped."""
        await self._recover()
        while not self._stopping.is_set():
            self._wake.clear()
            while len(self._tasks) < self._limits.concurrency and (job := await self._claim()):
                task = asyncio.create_task(self._attempt(job))
                self._tasks.add(task)
                task.add_done_callback(self._task_done)
            await self._wake.wait()

    async def stop(self) -> None:
        """Lets the workers write a checkpoint and queues their jobs again."""
        self._stopping.set()
        self._wake.set()
        for attempt in self._attempts.values():
            attempt.terminate()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._limits.stop_seconds)
        for attempt in self._attempts.values():
            attempt.kill()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _claim(self) -> TrainingJob | None:
        while not self._stopping.is_set():
            try:
                return await self._store.read(self._store.table.claim)
            except Unavailable as error:
                _LOG.error("no job can be taken: %s", error.message)
                await self._pause()
        return None

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), _RETRY_SECONDS)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _attempt(self, job: TrainingJob) -> None:
        run_dir = self._runs / job.job_id
        command = self._command(job, repository=self._repository.root, run_dir=run_dir)
        attempt = self._attempts[job.job_id] = Attempt(self._store, job, command, run_dir)
        try:
            origin = await self._store.read(self._store.table.origin, job.job_id)
            log.request_id.set(origin.call_id)  # of this task
            with self._span(job.job_id, origin.traceparent):
                ending = await attempt.run()
        except Exception:  # noqa: BLE001 -- the database or the disk: the worker is gone, the job is not
            _LOG.exception("job %s: the attempt was broken off", job.job_id)
            ending = Ending()
        finally:
            del self._attempts[job.job_id]
        await self._settle(job.job_id, ending)

    async def _settle(self, job_id: str, ending: Ending) -> None:
        while True:
            try:
                stopping = self._stopping.is_set()
                return await self._settlement.settle(job_id, ending, uncounted=stopping)
            except Exception:  # noqa: BLE001 -- as above
                _LOG.exception("job %s: its end cannot be written down", job_id)
                if self._stopping.is_set():
                    return None  # the next trainer finds it as it is
            await self._pause()

    async def _recover(self) -> None:
        table = self._store.table
        for job in await self._store.read(table.in_state, states.RUNNING, states.CANCELLING):
            group = (await self._store.read(table.bookkeeping, job.job_id)).worker_group
            if group is not None:
                await asyncio.to_thread(kill_orphans, group, job.job_id)
            await self._settlement.settle(job.job_id, Ending())
        await asyncio.to_thread(self._repository.sweep)
