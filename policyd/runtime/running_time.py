"""Time in which this process ran. A pause of the whole process does not count.

A signal (SIGSTOP), a container's freezer (`docker pause`) or a hypervisor may stop this process
together with the processes that it waits for. The clock goes on meanwhile, so a limit by the clock
blames whoever could not run either. Here, a process looks at the clock at least once a second. A
longer gap between two looks was a pause, or the machine was too busy, and counts as one second.

Use it for a limit on what another part of this system does. A limit that protects this process from
its clients, or that was promised by the calendar, goes by the clock: the others were not paused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

LOOK = 0.5  # seconds between two looks
LONGEST_LOOK = 1.0  # seconds that a gap between two looks counts at most


class RunningTime:
    """Counts the seconds in which this process ran. Somebody must look every LOOK seconds."""

    def __init__(self, longest_look: float = LONGEST_LOOK) -> None:
        self._longest_look = longest_look
        self._looked = monotonic()
        self._seconds = 0.0

    def look(self, at_least: float = 0.0) -> float:
        """The seconds since the last look.

        `at_least` is how long the process ran for certain, for example by its processor time.
        """
        before, self._looked = self._looked, monotonic()
        passed = min(self._looked - before, max(self._longest_look, at_least))
        self._seconds += passed
        return passed

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        self.look()
        return self._seconds


def waits(seconds: float) -> Iterator[float]:
    """Yields how long to wait next, again and again, until this process ran for `seconds`.

    A wait of 0 comes last, so that whatever happened meanwhile is seen.
    """
    clock = RunningTime()
    while (left := seconds - clock.seconds) > 0:
        yield min(left, LOOK)
    yield 0.0


class Timer:
    """Calls back once the event loop's process ran for so many seconds."""

    def __init__(
        self, seconds: float, callback: Callable[[], Any], longest_look: float = LONGEST_LOOK
    ) -> None:
        """`longest_look`: infinite if a pause of this process counts."""
        self._loop = asyncio.get_running_loop()
        self._limit, self._callback = seconds, callback
        self._clock = RunningTime(longest_look)
        self._next = self._loop.call_later(max(0.0, min(seconds, LOOK)), self._look)

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return self._clock.seconds

    def cancel(self) -> None:
        """Never calls back from now on."""
        self._next.cancel()

    def _look(self) -> None:
        left = self._limit - self._clock.seconds
        if left > 0:
            self._next = self._loop.call_later(min(left, LOOK), self._look)
        else:
            self._callback()


@asynccontextmanager
async def timeout(seconds: float) -> AsyncIterator[None]:
    """Like `asyncio.timeout`: raises TimeoutError, once this process ran for so long."""
    async with asyncio.timeout(None) as limit:
        timer = Timer(seconds, lambda: limit.reschedule(asyncio.get_running_loop().time()))
        try:
            yield
        finally:
            timer.cancel()


async def wait(futures: Collection[asyncio.Future[Any]], seconds: float) -> None:
    """Waits until all of them are done, or until this process ran for `seconds`.

    There is at least one.
    """
    with suppress(TimeoutError):
        async with timeout(seconds):
            await asyncio.wait(futures)
