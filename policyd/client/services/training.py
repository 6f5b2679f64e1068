"""Training jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from policy_api.v1 import training_pb2
from policyd.client import calls
from policyd.client.async_connection import AsyncConnection
from policyd.client.connection import Connection
from policyd.client.watching import Watch
from policyd.errors import PolicydError


class TrainingCalls:
    """Creating, listing, watching and cancelling training jobs."""

    _connection: Connection

    def create_training_job(
        self,
        spec: training_pb2.TrainingSpec,
        *,
        request_id: str = "",
        priority: int = 0,
        limits: training_pb2.JobLimits | None = None,
        actor: str = "",
        resources: training_pb2.JobResources | None = None,
        timeout: float | None = None,
    ) -> training_pb2.TrainingJob:
        """Creates a training job and returns it. Jobs with a higher `priority` run first.

        `actor` says who asks, such as `alice@laptop`; it is shown to people who look at the job.

        The same `request_id` and spec return the same job. An empty `request_id` creates a new job.

        Raises:
            InvalidArgument: the spec is wrong; the error names the field or setting.
            AlreadyExists: the id was used with another spec.
            PermissionDenied: the trainer does not allow the environment.
            Exhausted: too many jobs are queued.
            Unavailable: the trainer does not answer.
        """
        call = calls.create_training_job(spec, request_id, priority, limits, actor, resources)
        return self._connection.send(call, timeout)

    def get_training_job(self, job_id: str, *, timeout: float | None = None) -> training_pb2.TrainingJob:
        """Returns one job as it is now. NotFound: there is no such job."""
        return self._connection.send(calls.get_training_job(job_id), timeout)

    def list_training_jobs(
        self, policy: str = "", *, limit: int = 100, timeout: float | None = None
    ) -> list[training_pb2.TrainingJob]:
        """Returns the newest `limit` jobs, of one policy or of all.

        `timeout` applies to each page.
        """
        pages = calls.JobPages(policy, limit)
        while (call := pages.next_call()) is not None:
            pages.add(self._connection.send(call, timeout))
        return pages.jobs

    def cancel_training_job(self, job_id: str, *, timeout: float | None = None) -> training_pb2.TrainingJob:
        """Asks for the job's end and returns the job at once. A finished job stays as it is.

        Raises NotFound if there is no such job.
        """
        return self._connection.send(calls.cancel_training_job(job_id), timeout)

    def watch_training_job(
        self, job_id: str, *, timeout: float | None = None, patience: float = 30.0
    ) -> Iterator[training_pb2.TrainingJob]:
        """Yields the job now and at each change until it ends. Reconnects if the connection breaks.

        `timeout` is for the whole watch, in seconds; None: as long as the job takes.

        Raises:
            DeadlineExceeded: the timeout passed; the job goes on.
            Unavailable: no server answered for `patience` seconds.
        """
        return self._watch(Watch(job_id, timeout, patience))

    def read_training_job_log(
        self, job_id: str, *, follow: bool = False, timeout: float = 86_400.0
    ) -> Iterator[bytes]:
        """Yields the job's log in pieces.

        With `follow`, it also yields what is added later, until the job has ended. `timeout` is in
        seconds.

        Raises:
            NotFound: no such job, or its log was deleted.
            DeadlineExceeded: the timeout passed; the job goes on.
        """
        return self._connection.log(job_id, timeout, follow=follow)

    def wait_for_training_job(
        self, job_id: str, *, timeout: float | None = None, patience: float = 30.0
    ) -> training_pb2.TrainingJob:
        """Waits until the job ends and returns it; arguments and errors as in `watch_training_job`.

        A job that failed or was cancelled is returned like one that succeeded: see its `state`.
        """
        watch = Watch(job_id, timeout, patience)
        for _ in self._watch(watch):
            pass
        return watch.last

    def _watch(self, watch: Watch) -> Iterator[training_pb2.TrainingJob]:
        while not watch.is_over:
            error, seconds = None, watch.call_seconds()
            try:
                for job in self._connection.watch(watch.job_id, seconds):
                    if watch.is_new(job):
                        yield job
            except PolicydError as failure:
                error = failure
            if not watch.is_over:
                time.sleep(watch.pause(error))


class AsyncTrainingCalls:
    """As TrainingCalls, for asyncio."""

    _connection: AsyncConnection

    async def create_training_job(
        self,
        spec: training_pb2.TrainingSpec,
        *,
        request_id: str = "",
        priority: int = 0,
        limits: training_pb2.JobLimits | None = None,
        actor: str = "",
        resources: training_pb2.JobResources | None = None,
        timeout: float | None = None,
    ) -> training_pb2.TrainingJob:
        """As PolicyClient.create_training_job."""
        call = calls.create_training_job(spec, request_id, priority, limits, actor, resources)
        return await self._connection.send(call, timeout)

    async def get_training_job(
        self, job_id: str, *, timeout: float | None = None
    ) -> training_pb2.TrainingJob:
        """As PolicyClient.get_training_job."""
        return await self._connection.send(calls.get_training_job(job_id), timeout)

    async def list_training_jobs(
        self, policy: str = "", *, limit: int = 100, timeout: float | None = None
    ) -> list[training_pb2.TrainingJob]:
        """As PolicyClient.list_training_jobs."""
        pages = calls.JobPages(policy, limit)
        while (call := pages.next_call()) is not None:
            pages.add(await self._connection.send(call, timeout))
        return pages.jobs

    async def cancel_training_job(
        self, job_id: str, *, timeout: float | None = None
    ) -> training_pb2.TrainingJob:
        """As PolicyClient.cancel_training_job."""
        return await self._connection.send(calls.cancel_training_job(job_id), timeout)

    def watch_training_job(
        self, job_id: str, *, timeout: float | None = None, patience: float = 30.0
    ) -> AsyncIterator[training_pb2.TrainingJob]:
        """As PolicyClient.watch_training_job, for `async for`."""
        return self._watch(Watch(job_id, timeout, patience))

    def read_training_job_log(
        self, job_id: str, *, follow: bool = False, timeout: float = 86_400.0
    ) -> AsyncIterator[bytes]:
        """As PolicyClient.read_training_job_log, for `async for`."""
        return self._connection.log(job_id, timeout, follow=follow)

    async def wait_for_training_job(
        self, job_id: str, *, timeout: float | None = None, patience: float = 30.0
    ) -> training_pb2.TrainingJob:
        """As PolicyClient.wait_for_training_job."""
        watch = Watch(job_id, timeout, patience)
        async for _ in self._watch(watch):
            pass
        return watch.last

    async def _watch(self, watch: Watch) -> AsyncIterator[training_pb2.TrainingJob]:
        while not watch.is_over:
            error, seconds = None, watch.call_seconds()
            try:
                async for job in self._connection.watch(watch.job_id, seconds):
                    if watch.is_new(job):
                        yield job
            except PolicydError as failure:
                error = failure
            if not watch.is_over:
                await asyncio.sleep(watch.pause(error))
