"""The jobs' table for an event loop: calls run in one thread, changes are told to watchers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError

from policy_api.errors import Unavailable
from policy_api.v1.training_pb2 import TrainingJob
from trainer.jobs import states
from trainer.jobs.changes import Changes
from trainer.jobs.table import JobTable

P = ParamSpec("P")
T = TypeVar("T")


class JobStore:
    """One thread, so that what one caller writes the next one reads."""

    def __init__(self, table: JobTable) -> None:
        self.table = table
        self._changes = Changes()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jobs-table")

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a method of the table. Unavailable: the database does not answer."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))
        except (OperationalError, InterfaceError) as error:
            raise Unavailable(f"the jobs' database does not answer: {error.orig}") from error

    async def change(self, job_id: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a method of the table that changes the job, and tells its watchers."""
        result = await self.read(function, *args, **kwargs)
        self._changes.tell(job_id)
        return result

    async def watch(self, job_id: str) -> AsyncIterator[TrainingJob]:
        """The job now and after each change, until it has ended. NotFound; Unavailable: the trainer stops."""
        with self._changes.watch(job_id) as changed:
            seen: TrainingJob | None = None
            while True:
                changed.clear()
                job = await self.read(self.table.get, job_id)
                if job != seen:
                    yield job
                if job.state in states.TERMINAL:
                    return
                if self._changes.closed:
                    raise Unavailable("the trainer is shutting down; the job goes on when it is back")
                seen = job
                await changed.wait()

    def end_watches(self) -> None:
        """Wakes all watchers for the last time."""
        self._changes.close()

    def close(self) -> None:
        """Waits for the calls that run."""
        self._thread.shutdown()
