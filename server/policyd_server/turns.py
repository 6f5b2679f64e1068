"""Few places for calls that move much: who finds none is refused, who is idle loses it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from policyd.errors import Exhausted, Unavailable

PLACES = 2  # calls of one kind at a time
IDLE_SECONDS = 60.0  # for the client to send the next message, or to take one

Message = TypeVar("Message")
Result = TypeVar("Result")


class Turns:
    """The places for calls of one kind, and a thread for each.

    The threads are their own, so that the event loop's others stay free for short work. A call that
    was cancelled leaves its thread only when the work in it ends.
    """

    def __init__(self, title: str) -> None:
        """`title`: of the calls, in the plural."""
        self._title = title
        self._places = asyncio.Semaphore(PLACES)
        self._threads = ThreadPoolExecutor(PLACES, title)  # they start when they are needed

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Holds a place meanwhile. Exhausted: there is none."""
        if self._places.locked():
            message = f"{PLACES} {self._title} are under way; try again"
            raise Exhausted(message, reason="TOO_MANY_TRANSFERS", retry_after=5.0)
        async with self._places:
            yield

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Returns the result of work in one of the threads."""
        call = partial(contextvars.copy_context().run, work, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


async def received(messages: AsyncIterator[Message]) -> AsyncIterator[Message]:
    """Yields a client's messages. Unavailable: the next one took longer than IDLE_SECONDS."""
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                message = await anext(messages)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            told = f"no message came for {IDLE_SECONDS:g} s"
            raise Unavailable(told, reason="IDLE", retry_after=5.0) from error
        yield message


async def taken_by_client(messages: AsyncIterator[Message]) -> AsyncIterator[Message]:
    """Yields the same messages. Cancels the task if it takes one no further for IDLE_SECONDS.

    The task waits outside of this generator then, for a client that does not read.
    """
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    async for message in messages:
        timer = loop.call_later(IDLE_SECONDS, task.cancel)
        try:
            yield message
        finally:
            timer.cancel()
