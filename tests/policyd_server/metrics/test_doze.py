"""The sleep between two flushes of the metrics."""

from __future__ import annotations

import asyncio
import threading

from policyd_server.metrics.doze import Doze


def test_a_wake_up_before_the_sleep_is_remembered() -> None:
    """A call that comes during the flush is flushed soon; one before `begin` has been."""

    async def test() -> None:
        doze = Doze()
        doze.wake()
        doze.begin()
        assert not await doze.sleep(0.0)
        doze.begin()
        doze.wake()
        assert await doze.sleep(60.0)

    asyncio.run(test())


def test_any_thread_wakes_the_sleeper() -> None:
    """The front's thread counts calls, and the loop flushes them."""

    async def test() -> None:
        doze = Doze()
        doze.begin()
        threading.Thread(target=doze.wake).start()
        assert await doze.sleep(60.0)

    asyncio.run(test())
