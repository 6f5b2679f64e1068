"""Sleeps until there is something to flush."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Doze:
    """One sleeper on an event loop, and whoever wakes it, from any thread. Made on the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._dozing = False

    def begin(self) -> None:
        """From now on a wake-up is remembered. So nothing is missed while it is made sure of."""
        self._woken.clear()
        self._dozing = True

    def wake(self) -> None:
        """Ends the sleep. It costs next to nothing where nobody sleeps."""
        if self._dozing:
            self._dozing = False
            self._loop.call_soon_threadsafe(self._woken.set)

    async def sleep(self, seconds: float) -> bool:
        """Sleeps until it is woken, at most so long. Returns whether it was woken."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
        self._dozing = False
        return self._woken.is_set()
