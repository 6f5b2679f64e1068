"""Runs queued jobs: one worker for each, some of them side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress

from policy_api.v1.training_pb2 import CreateTrainingJobRequest, TrainingJob
from policyd.errors import Unavailable
from policyd.repository import ModelRepository
from policyd.runtime import log, running_time
from policyd_trainer.jobs import states
from policyd_trainer.jobs.attempt import Attempt, Ending
from policyd_trainer.jobs.launcher import Attempted, Launcher, Worker
from policyd_trainer.jobs.limits import Limits, check_priority
from policyd_trainer.jobs.local import LocalLauncher
from policyd_trainer.jobs.origin import Origin
from policyd_trainer.jobs.reports import Reports
from policyd_trainer.jobs.runs import Runs
from policyd_trainer.jobs.settlement import Settlement
from policyd_trainer.jobs.states import is_continuous
from policyd_trainer.jobs.store import JobStore
from policyd_trainer.jobs.worker import train_command

_LOG = logging.getLogger(__name__)
Span = Callable[[str, str], AbstractContextManager[None]]
_RETRY_SECONDS = 1.0  # seconds between attempts to reach a database that does not respond


def untraced(job_id: str, parent: str) -> AbstractContextManager[None]:  # noqa: ARG001  nothing is traced
    """A span that records nothing."""
    return nullcontext()


class Supervisor:
    """Runs the jobs: owns their workers. Runs in one event loop."""

    def __init__(
        self,
        store: JobStore,
        repository: ModelRepository,
        runs: Runs,
        limits: Limits,
        command: Callable[..., list[str]] = train_command,
        span: Span = untraced,
        launcher: Launcher | None = None,
    ) -> None:
        """`span(job_id, parent)` traces a worker's run; `parent` is the trace that asked for it.

        `launcher` starts the workers, and `stop` closes it. None: workers run on this machine.
        """
        self._launcher: Launcher = launcher or LocalLauncher()
        self._store = store
        self._repository = repository
        self._runs = runs
        self._limits = limits
        self._command = command
        self._settlement = Settlement(store, repository, runs, limits.max_attempts)
        self._span = span
        self._reports = Reports(repository.location)
        self._attempts: dict[str, Attempt] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._continuous: set[asyncio.Task[None]] = set()  # those tasks that have no end
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._is_owner = True  # of the table of jobs

    @property
    def runs(self) -> Runs:
        """The place of the workers' checkpoints and logs."""
        return self._runs

    async def create(self, request: CreateTrainingJobRequest, on_behalf_of: str = "") -> TrainingJob:
        """Queues a job, once per request id.

        `on_behalf_of` is the caller's name, as the server knows it that forwarded the request.

        Raises:
            InvalidArgument: a field is wrong.
            AlreadyExists: the request id belongs to another spec.
            Exhausted: the queue is full.
        """
        self._launcher.check(request.resources)
        job = await self._store.read(
            self._store.table.create,
            request.spec,
            request_id=request.request_id,
            max_queued=self._limits.max_queued,
            priority=check_priority(request.priority),
            limits=self._limits.applied(request.limits, continuous=is_continuous(request.spec)),
            resources=request.resources,
            origin=Origin.current(request.actor, on_behalf_of),
        )
        self._wake.set()
        self._store.queue_moved()
        return job

    async def cancel(self, job_id: str) -> TrainingJob:
        """Asks for the end of a job. Its worker is ended with everything that it started.

        Raises:
            NotFound: there is no such job.
        """
        job = await self._store.change(job_id, self._store.table.request_cancel, job_id)
        if job.state == states.CANCELLING and job_id in self._attempts:
            self._attempts[job_id].kill()
        self._store.queue_moved()
        return job

    async def run(self) -> None:
        """Takes over the jobs of an earlier trainer, then runs queued jobs until it is stopped."""
        await self._recover()
        while not self._stopping.is_set():
            self._wake.clear()
            while (job := await self._next()) is not None:
                self._start(job)
            await self._wake.wait()

    def _start(self, job: TrainingJob, worker: Worker | None = None) -> None:
        task = asyncio.create_task(self._attempt(job, worker))
        self._tasks.add(task)
        if is_continuous(job.spec):
            self._continuous.add(task)
        task.add_done_callback(self._task_done)

    async def stop(self, *, is_owner: bool = True) -> None:
        """Lets the workers write a checkpoint and queues their jobs again.

        Workers that can outlive the trainer go on, and the next trainer follows them. A trainer
        that is no longer the table's owner ends its workers at once and leaves the table alone:
        the new owner may already run the same jobs.
        """
        self._is_owner = is_owner
        self._stopping.set()
        self._wake.set()
        if self._launcher.outlives_trainer:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
        else:
            await self._stop_workers()
        await self._launcher.close()
        await self._reports.stop(self._limits.stop_seconds)

    async def _stop_workers(self) -> None:
        for attempt in self._attempts.values():
            attempt.terminate()
        if self._tasks and self._is_owner:
            await running_time.wait(self._tasks, self._limits.stop_seconds)
        for attempt in self._attempts.values():
            attempt.kill()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _next(self) -> TrainingJob | None:
        """The next job that may run now.

        Jobs without an end do not count among the limited number of other jobs.
        """
        continuous = len(self._continuous)
        if len(self._tasks) - continuous < self._limits.concurrency and (job := await self._claim()):
            return job
        if continuous < self._limits.max_continuous:
            return await self._claim(continuous=True)
        return None

    async def _claim(self, *, continuous: bool = False) -> TrainingJob | None:
        while not self._stopping.is_set():
            try:
                return await self._store.read(self._store.table.claim, continuous=continuous)
            except Unavailable as error:
                _LOG.error("no job can be taken: %s", error.message)
                await self._pause()
        return None

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), _RETRY_SECONDS)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._continuous.discard(task)
        self._wake.set()

    async def _attempt(self, job: TrainingJob, worker: Worker | None) -> None:
        ending = Ending()
        try:
            attempted = await self._attempted(job)
            attempt = Attempt(self._store, self._launcher, attempted, worker)
            self._attempts[job.job_id] = attempt
            if self._stopping.is_set():
                attempt.terminate()
            log.request_id.set(attempted.origin.call_id)  # for the logs of this task
            with self._span(job.job_id, attempted.origin.traceparent):
                ending = await attempt.run()
        except Exception:  # noqa: BLE001  the database or the disk failed; the job is kept
            _LOG.exception("job %s: the attempt was broken off", job.job_id)
        finally:
            followed = self._attempts.pop(job.job_id, None)
        await self._settle(job.job_id, ending)
        if followed is not None:
            await followed.release()
        is_report_due = ending.last.HasField("result") and not is_continuous(job.spec)  # those draw no curve
        if is_report_due and not self._stopping.is_set():
            self._reports.start(ending.last.result)

    async def _attempted(self, job: TrainingJob) -> Attempted:
        run_dir = self._runs.of(job.job_id)
        command = self._command(job, repository=self._repository.location, run_dir=run_dir)
        table = self._store.table
        books = await self._store.read(table.accounts.of, job.job_id)
        origin = await self._store.read(table.origin, job.job_id)
        return Attempted(job, command, run_dir, books.run_seconds, origin)

    async def _settle(self, job_id: str, ending: Ending) -> None:
        while self._is_owner:
            try:
                stopping = self._stopping.is_set()
                await self._settlement.settle(job_id, ending, uncounted=stopping)
                return
            except Exception:  # noqa: BLE001 -- as above
                _LOG.exception("job %s: its end cannot be recorded", job_id)
                if self._stopping.is_set():
                    return  # the job stays as it is for the next trainer
            await self._pause()

    async def _recover(self) -> None:
        table = self._store.table
        for job in await self._store.read(table.in_state, states.RUNNING, states.CANCELLING):
            worker = await self._launcher.reattach(await self._attempted(job))
            if worker is not None:
                self._start(job, worker)
            else:
                await self._settlement.settle(job.job_id, Ending())
        await self._launcher.end_others()
        await asyncio.to_thread(self._repository.sweep)
