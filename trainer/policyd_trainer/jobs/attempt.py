"""One attempt at a job: its worker from start to end, its progress, its limits."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass, field

from policy_api.v1.training_pb2 import (
    TrainingFailure,
    TrainingProgress,
    WorkerEnding,
    WorkerEvent,
)
from policyd.runtime.running_time import LONGEST_LOOK, Timer
from policyd_trainer.jobs import states
from policyd_trainer.jobs.launcher import Attempted, Launcher, Worker
from policyd_trainer.jobs.limits import seconds_of, steps_exceeded, time_exceeded
from policyd_trainer.jobs.store import JobStore

_LOG = logging.getLogger(__name__)

_MIN_FRACTION = 1e-3  # below this fraction an estimate would be noise
_PATIENCE = 12.0  # seconds that a guardian may take to end everything below it


@dataclass(frozen=True)
class Ending:
    """How an attempt ended."""

    last: WorkerEvent = field(default_factory=WorkerEvent)  # a result, a failure, or neither
    exit_code: int | None = None  # None: it ended together with an earlier trainer
    call: str = ""  # the call into the environment that was running when the worker died
    lost: str = ""  # why the launcher lost contact with the worker; empty: it ended by itself


class Attempt:
    """Runs one attempt at a job: owns one worker."""

    def __init__(
        self, store: JobStore, launcher: Launcher, attempted: Attempted, worker: Worker | None = None
    ) -> None:
        """`worker` is one that an earlier trainer started; None: `run` starts one."""
        self._store, self._launcher, self._attempted = store, launcher, attempted
        self._job = attempted.job
        self._progress = AttemptProgress()
        self._worker = worker
        self._terminated = False
        self._exceeded: TrainingFailure | None = None
        self._ending: WorkerEnding | None = None  # None: the guardian has not reported it yet
        # Counts its run time, and ends it at its limit. A pause of this trainer counts only if the
        # worker, on another machine, goes on meanwhile.
        self._limit: Timer | None = None
        self._accounted = 0.0  # seconds of that which are stored
        self._killing: Timer | None = None

    def terminate(self) -> None:
        """Asks the worker to write a checkpoint and stop.

        A worker that has not started yet stops as soon as it starts.
        """
        self._terminated = True
        if self._worker is not None:
            self._worker.terminate()

    def kill(self) -> None:
        """Ends the worker and everything that it started, immediately."""
        if self._worker is not None:
            self._worker.end()
            self._killing = Timer(_PATIENCE, self._worker.kill)

    async def run(self) -> Ending:
        """Starts the worker if it is not running, and follows it to its end."""
        job_id, table = self._job.job_id, self._store.table
        worker = self._worker = self._worker or await self._launcher.start(self._attempted)
        starting = asyncio.create_task(self._start_clock(worker))
        try:
            self._store.queue_moved()
            if self._terminated:
                worker.terminate()
            if (await self._store.read(table.get, job_id)).state == states.CANCELLING:
                self.kill()
            last = await self._follow(worker, starting)
            code = await worker.wait()
            await starting
        except asyncio.CancelledError:  # the worker goes on without this trainer
            raise
        except BaseException:
            self.kill()
            await worker.wait()  # the job is queued again after this: two workers must not run at once
            raise
        finally:
            starting.cancel()
            if self._limit is not None:
                self._limit.cancel()
        await self._store.read(table.accounts.ran, job_id, self._unaccounted())
        return self._ended(last, code, worker.lost)

    async def release(self) -> None:
        """Frees what the launcher still keeps of the worker, once its end is stored."""
        if self._worker is not None:
            await self._worker.release()

    def _ended(self, last: WorkerEvent, guardian_code: int, lost: str) -> Ending:
        told = self._ending or WorkerEnding(exit_code=guardian_code)
        _LOG.info("job %s: its worker ended with %d", self._job.job_id, told.exit_code)
        for name in told.leftovers:
            _LOG.info("job %s: ended a process that it left behind: %s", self._job.job_id, name)
        for name in told.unkillable:
            _LOG.warning("job %s: a process that it left behind cannot be ended: %s", self._job.job_id, name)
        if self._exceeded is not None and not last.HasField("result"):
            last = WorkerEvent(failure=self._exceeded)
        return Ending(last, told.exit_code, told.call, lost)

    async def _follow(self, worker: Worker, starting: asyncio.Task[None]) -> WorkerEvent:
        last = WorkerEvent()
        async for event in worker.events():
            if event.HasField("progress"):
                await starting
                await self._report(self._progress.update(event.progress))
            elif event.HasField("ending"):
                self._ending = event.ending
            else:
                last = event
        return last

    async def _report(self, progress: TrainingProgress) -> None:
        job_id, table = self._job.job_id, self._store.table
        await self._store.change(job_id, table.accounts.progressed, job_id, progress, self._unaccounted())
        if (failure := steps_exceeded(self._job.limits, progress)) is not None:
            self._exceed(failure)

    async def _start_clock(self, worker: Worker) -> None:
        """Does what is due when the worker starts to run.

        Stores its process id, begins to count its run time, and sets the deadline.
        """
        job_id, table = self._job.job_id, self._store.table
        ran = await worker.started()
        longest_look = math.inf if self._launcher.outlives_trainer else LONGEST_LOOK
        limit = seconds_of(self._job.limits)
        left = math.inf if limit is None else limit - ran
        self._limit = Timer(left, lambda: self._exceed(time_exceeded(self._job.limits)), longest_look)
        if worker.pid is not None:
            await self._store.change(job_id, table.accounts.worker_started, job_id, worker.pid)
        accounted = (await self._store.read(table.accounts.of, job_id)).run_seconds
        self._accounted = min(0.0, accounted - ran)

    def _exceed(self, failure: TrainingFailure) -> None:
        self._exceeded = failure
        self.kill()

    def _unaccounted(self) -> float:
        if self._limit is None:  # it does not run yet
            return 0.0
        before, self._accounted = self._accounted, self._limit.seconds
        return self._accounted - before


@dataclass
class AttemptProgress:
    """The progress of one attempt, as its worker reports it."""

    first: TrainingProgress | None = None  # a resumed attempt does not start at 0
    last: TrainingProgress = field(default_factory=TrainingProgress)

    def update(self, reported: TrainingProgress) -> TrainingProgress:
        """The report with a fraction that never falls, and with an estimate if it has none."""
        self.first = self.first or reported
        progress = TrainingProgress()
        progress.CopyFrom(reported)
        progress.fraction = min(1.0, max(self.last.fraction, reported.fraction))
        if not progress.HasField("eta") and (seconds := eta(self.first, progress)) is not None:
            progress.eta.FromNanoseconds(round(seconds * 1e9))
        self.last = progress
        return progress


def eta(first: TrainingProgress, now: TrainingProgress) -> float | None:
    """Seconds to the end, at the mean rate since `first`.

    None if it is too early for an estimate.
    """
    seconds = (now.elapsed.ToNanoseconds() - first.elapsed.ToNanoseconds()) / 1e9
    done = now.fraction - first.fraction
    if done < _MIN_FRACTION or seconds <= 0:
        return None
    return (1 - now.fraction) / done * seconds
