"""Ends the calls of a server that shuts down with UNAVAILABLE, which clients retry elsewhere.

grpc.aio alone cancels them, and gRPC's core answers CANCELLED to calls that arrive meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Any

from policyd.errors import PolicydError, Unavailable
from policyd.runtime import rpc
from policyd.runtime.interceptor import Interceptor, answers_of
from policyd.runtime.running_time import RunningTime, wait

RETRY_AFTER = 1.0  # seconds
END_SECONDS = 1.0  # for ended calls to send their status
LINGER_SECONDS = 3.0  # for a client to read a response of its stream; the front waits less
LOOK_SECONDS = 0.2  # between two checks of which clients read nothing
_HEALTH = "/grpc.health.v1.Health/"
# These streams follow a job, perhaps for hours. Clients continue them at another server.
_FOLLOW = {f"/policy_api.v1.TrainingService/{name}" for name in ("WatchTrainingJob", "ReadTrainingJobLog")}

Call = asyncio.Task[Any]


class Draining(Interceptor):
    """Knows the calls in flight. Created and used on one event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._draining = False
        self._calls: set[Call] = set()
        self._waiting: set[Call] = set()  # streams that wait for their client, or follow a job
        self._ended: set[Call] = set()  # calls that this class has ended
        # Streams whose client has to read a response, with the time since when (time.monotonic).
        self._sending: dict[Call, float] = {}
        self._idle = asyncio.Event()

    async def drain(self, grace: float) -> None:
        """Refuses new calls, and waits for those in flight. Ends the rest after `grace` seconds.

        A stream ends as soon as it waits for its client. A stream that follows a job ends at once.
        If a client reads no responses, its stream is left to the end of the connection.
        """
        self._draining = True
        self._end(self._waiting)
        begin, running = time.monotonic(), RunningTime()
        while awaited := self._awaited(begin):
            left = grace - running.seconds
            if left <= 0:
                self._end(awaited)
                await wait(awaited, END_SECONDS)
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), min(left, LOOK_SECONDS))

    def _awaited(self, begin: float) -> set[Call]:
        """Returns the calls in flight, except those whose client reads nothing."""
        late = time.monotonic() - LINGER_SECONDS
        left_alone = {task for task, since in self._sending.items() if max(since, begin) <= late}
        return self._calls - left_alone

    def covers(self, method: str) -> bool:
        """Whether the method is not the health check, which reports that the server drains."""
        return not method.startswith(_HEALTH)

    def around(self, method: str, request: Any, context: Any) -> AbstractAsyncContextManager[None]:  # noqa: ARG002
        """Does nothing: the wrappers below are cheaper than a context manager."""
        return nullcontext()

    def _unary(self, method: str, behaviour: Any) -> Callable[[Any, Any], Awaitable[Any]]:  # noqa: ARG002
        async def call(request: Any, context: Any) -> Any:
            task = await self._begin(context)
            try:
                return await behaviour(request, context)
            except asyncio.CancelledError:
                await self._abort_if_ended(task, context)
                raise
            finally:
                self._finish(task)

        return call

    def _stream(self, method: str, behaviour: Any) -> Callable[[Any, Any], AsyncIterator[Any]]:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            task = await self._begin(context)
            if method in _FOLLOW:
                self._waiting.add(task)
            requests = self._requests(request, task) if hasattr(request, "__aiter__") else request
            try:
                async for answer in answers_of(behaviour, requests, context):
                    self._sending[task] = time.monotonic()
                    yield answer
                    self._sending.pop(task, None)
            except asyncio.CancelledError:
                await self._abort_if_ended(task, context)
                raise
            except PolicydError as error:
                await rpc.abort(context, error, method)
            finally:
                self._finish(task)

        return call

    async def _requests(self, requests: Any, task: Call) -> AsyncIterator[Any]:
        """Yields the requests of a stream. Unavailable: the server drains."""
        while True:
            if self._draining:
                raise shutting_down()
            self._waiting.add(task)
            try:
                request = await anext(requests)
            except StopAsyncIteration:
                return
            finally:
                self._waiting.discard(task)
            yield request

    async def _begin(self, context: Any) -> Call:
        if self._draining:
            await rpc.abort(context, shutting_down())
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        return task

    def _finish(self, task: Call) -> None:
        self._calls.discard(task)
        self._waiting.discard(task)
        self._ended.discard(task)
        self._sending.pop(task, None)
        if self._draining and not self._calls:
            self._idle.set()

    def _end(self, calls: set[Call]) -> None:
        for task in set(calls):
            self._ended.add(task)
            task.cancel()

    async def _abort_if_ended(self, task: Call, context: Any) -> None:
        if task in self._ended:
            task.uncancel()
            await rpc.abort(context, shutting_down())


def shutting_down() -> Unavailable:
    """Returns the error for calls that arrive, or still wait, while the server drains."""
    return Unavailable("the server is shutting down", retry_after=RETRY_AFTER, reason="DRAINING")
