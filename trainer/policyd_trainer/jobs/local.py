"""Workers beside the trainer: one process each, which ends with the trainer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from policy_api.v1.training_pb2 import JobResources, WorkerEvent
from policyd.errors import InvalidArgument
from policyd.runtime.running_time import Timer
from policyd_trainer.guardian.watch import END_ALL
from policyd_trainer.jobs.keeping import keep_going
from policyd_trainer.jobs.launcher import Attempted
from policyd_trainer.jobs.orphans import kill_orphans
from policyd_trainer.jobs.worker import LOG_FILE, MAX_LINE, guarded_command, parsed, worker_environment

_LAST_LINES = 1.0  # seconds to read the rest of the pipe once the guardian has ended


class LocalLauncher:
    """Starts worker processes on this machine."""

    outlives_trainer = False

    def check(self, resources: JobResources) -> None:
        """Refuses any resources: all workers share the trainer's machine."""
        if resources != JobResources():
            raise InvalidArgument.of(
                "resources",
                got=" ".join(str(resources).split()),
                wanted="none: workers run beside the trainer; one with `--launcher ray` places them",
            )

    async def start(self, attempt: Attempted) -> LocalWorker:
        """Starts a process under a guardian.

        Its standard error goes to a log file in the run's folder.
        """
        worker = await LocalWorker.start(attempt)
        worker.keep_going()
        return worker

    async def reattach(self, attempt: Attempted) -> None:
        """Ends what the worker of a killed trainer may have left behind."""
        await asyncio.to_thread(kill_orphans, attempt.job.job_id)

    async def end_others(self) -> None:
        """Does nothing: there are no other workers."""

    async def close(self) -> None:
        """Does nothing: there is nothing to free."""


class LocalWorker:
    """A running worker process and the guardian that watches over it."""

    lost = ""

    def __init__(self, process: asyncio.subprocess.Process, attempt: Attempted) -> None:
        self._process, self._attempt = process, attempt
        self._log = Path(attempt.run_dir) / LOG_FILE
        self._began = time.monotonic()
        self._keeping: asyncio.Task[None] | None = None
        self._told = False  # whether the guardian reported how it ended
        self._stop_reading_at_exit()

    @classmethod
    async def start(cls, attempt: Attempted) -> LocalWorker:
        """Starts the attempt's command under a guardian."""
        job_id, log = attempt.job.job_id, Path(attempt.run_dir) / LOG_FILE
        with await asyncio.to_thread(_open_log, log) as stderr:  # the guardian's own standard error
            process = await asyncio.create_subprocess_exec(
                *guarded_command(job_id, log, attempt.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=os.environ | worker_environment(job_id, attempt.origin.call_id),
                start_new_session=True,
                limit=MAX_LINE,
            )
        return cls(process, attempt)

    @property
    def pid(self) -> int:
        """Process id of the guardian."""
        return self._process.pid

    def keep_going(self) -> None:
        """From now on continues the guardian whenever a signal has stopped it."""
        self._keeping = asyncio.create_task(keep_going(self.pid, f"job {self._attempt.job.job_id}"))

    async def started(self) -> float:
        """The seconds that all workers of the job have run. This one is already running."""
        return self._attempt.ran + time.monotonic() - self._began

    async def events(self) -> AsyncIterator[WorkerEvent]:
        """Yields the events that worker and guardian write to standard output.

        Other lines go to the log.
        """
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if (event := parsed(line)) is not None:
                self._told = self._told or event.HasField("ending")
                yield event
            elif line.strip():
                with suppress(OSError), self._log.open("ab") as log:
                    log.write(line)

    async def wait(self) -> int:
        """Waits for the end of the guardian, which ends last. Returns its exit code."""
        code = await self._process.wait()
        if self._keeping is not None:
            self._keeping.cancel()
        if not self._told:  # it was killed before it could end the processes that it watched
            await asyncio.to_thread(kill_orphans, self._attempt.job.job_id)
        return code

    def terminate(self) -> None:
        """Asks the worker to write a checkpoint and stop."""
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        """Ends the worker and everything that it started, immediately."""
        self._signal(END_ALL)

    def kill(self) -> None:
        """Ends the guardian itself, if `end` did not help. The worker then dies with it."""
        self._signal(signal.SIGKILL)

    async def release(self) -> None:
        """Does nothing: nothing is kept."""

    def _stop_reading_at_exit(self) -> None:
        # A process that could not be killed would keep standard output open, and events() waiting.
        loop = asyncio.get_running_loop()
        assert self._process.stdout is not None
        end_of_file = self._process.stdout.feed_eof
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            Timer(_LAST_LINES, end_of_file)
            return

        def exited() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            Timer(_LAST_LINES, end_of_file)

        loop.add_reader(descriptor, exited)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _open_log(log: Path) -> BinaryIO:
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("ab")
