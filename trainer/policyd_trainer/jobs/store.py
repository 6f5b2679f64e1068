"""The jobs' table for an event loop: calls run in one thread, changes are told to watchers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import DatabaseError, InterfaceError, OperationalError

from policy_api.v1.training_pb2 import TrainingJob
from policyd.errors import FailedPrecondition, Unavailable
from policyd_trainer.jobs import states
from policyd_trainer.jobs.table import JobTable

P = ParamSpec("P")
T = TypeVar("T")


class JobStore:
    """Calls the table in one thread, so that what one caller writes the next one reads."""

    def __init__(self, table: JobTable) -> None:
        self.table = table
        self._changes = Changes()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jobs-table")

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a method of the table. Raises Unavailable if the database does not respond."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))
        except (OperationalError, InterfaceError) as error:
            raise Unavailable(f"the jobs' database does not answer: {error.orig}") from error
        except DatabaseError as error:  # the database file was damaged while the trainer ran
            raise FailedPrecondition(
                f"the jobs' database cannot be used: {error.orig}", reason="JOBS_ARE_DAMAGED"
            ) from error

    async def change(self, job_id: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a method of the table that changes the job, and notifies its watchers."""
        result = await self.read(function, *args, **kwargs)
        self._changes.tell(job_id)
        return result

    async def watch(self, job_id: str) -> AsyncIterator[TrainingJob]:
        """Yields the job now and after each change, until it has ended.

        Raises:
            NotFound: there is no such job.
            Unavailable: the trainer is stopping.
        """
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

    @property
    def is_closing(self) -> bool:
        """Whether watchers have been notified that the trainer is stopping."""
        return self._changes.closed

    def queue_moved(self) -> None:
        """Wakes all watchers: the places of queued jobs may have changed."""
        self._changes.tell_all()

    def end_watches(self) -> None:
        """Wakes all watchers for the last time."""
        self._changes.close()

    def close(self) -> None:
        """Waits for the running calls to end."""
        self._thread.shutdown()


class Changes:
    """One event per watcher of a job. Used in one event loop."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self.closed = False

    @contextmanager
    def watch(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set after each later change of the job, and when the trainer stops."""
        event = asyncio.Event()
        self._watchers[job_id].add(event)
        try:
            yield event
        finally:
            self._watchers[job_id].discard(event)
            if not self._watchers[job_id]:
                del self._watchers[job_id]

    def tell(self, job_id: str) -> None:
        """Wakes the job's watchers, because the job has changed."""
        for event in self._watchers.get(job_id, ()):
            event.set()

    def tell_all(self) -> None:
        """Wakes all watchers, because any job may have changed."""
        for job_id in list(self._watchers):
            self.tell(job_id)

    def close(self) -> None:
        """Wakes all watchers for the last time. They see `closed`."""
        self.closed = True
        self.tell_all()
