"""One attempt at a job: its worker from start to end, its progress, its limits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from policy_api.v1.training_pb2 import TrainingFailure, TrainingJob, TrainingProgress, WorkerEvent
from trainer.jobs import states
from trainer.jobs.limits import seconds_of, steps_exceeded, time_exceeded
from trainer.jobs.progress import AttemptProgress
from trainer.jobs.store import JobStore
from trainer.jobs.worker import Worker

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """How an attempt ended."""

    last: WorkerEvent = field(default_factory=WorkerEvent)  # a result, a failure, or nothing: it died
    exit_code: int | None = None  # None: together with an earlier trainer


class Attempt:
    """Owns one worker process."""

    def __init__(self, store: JobStore, job: TrainingJob, command: Sequence[str], run_dir: Path) -> None:
        self._store, self._job, self._command, self._run_dir = store, job, command, run_dir
        self._progress = AttemptProgress()
        self._worker: Worker | None = None
        self._terminated = False
        self._exceeded: TrainingFailure | None = None
        self._accounted = time.monotonic()  # until when the worker's time is in the table

    def terminate(self) -> None:
        """Asks the worker to write a checkpoint and stop; one that is yet to start stops at once."""
        self._terminated = True
        if self._worker is not None:
            self._worker.terminate()

    def kill(self) -> None:
        """Ends the worker and its children at once."""
        if self._worker is not None:
            self._worker.kill()

    async def run(self) -> Ending:
        """Starts the worker and follows it to its end."""
        job_id, table = self._job.job_id, self._store.table
        worker = await Worker.start(self._command, job_id=job_id, run_dir=self._run_dir)
        self._worker = worker
        deadline = await self._deadline()
        try:
            await self._store.change(job_id, table.worker_started, job_id, worker.group)
            if self._terminated:
                worker.terminate()
            if (await self._store.read(table.get, job_id)).state == states.CANCELLING:
                worker.kill()
            last = await self._follow(worker)
            code = await worker.wait()
        finally:
            deadline.cancel()
            worker.kill()
        await self._store.read(table.ran, job_id, self._unaccounted())
        _LOG.info("job %s: its worker (group %d) ended with %d", job_id, worker.group, code)
        if self._exceeded is not None and not last.HasField("result"):
            last = WorkerEvent(failure=self._exceeded)
        return Ending(last, code)

    async def _follow(self, worker: Worker) -> WorkerEvent:
        last = WorkerEvent()
        async for event in worker.events():
            if event.HasField("progress"):
                await self._report(self._progress.update(event.progress))
            else:
                last = event
        return last

    async def _report(self, progress: TrainingProgress) -> None:
        job_id, table = self._job.job_id, self._store.table
        await self._store.change(job_id, table.progressed, job_id, progress, self._unaccounted())
        if (failure := steps_exceeded(self._job.limits, progress)) is not None:
            self._exceed(failure)

    async def _deadline(self) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        limit = seconds_of(self._job.limits)
        if limit is None:
            (never := loop.call_later(0, lambda: None)).cancel()
            return never
        ran = (await self._store.read(self._store.table.bookkeeping, self._job.job_id)).run_seconds
        return loop.call_later(max(0.0, limit - ran), self._exceed, time_exceeded(self._job.limits))

    def _exceed(self, failure: TrainingFailure) -> None:
        self._exceeded = failure
        self.kill()

    def _unaccounted(self) -> float:
        now = time.monotonic()
        seconds, self._accounted = now - self._accounted, now
        return seconds
