"""Background tasks that serve for ever: one that fails is logged, and starts again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from policyd.runtime import log

RESTART_SECONDS = 1.0
_LOG = logging.getLogger(__name__)


def started(title: str, work: Callable[[], Awaitable[Any]]) -> asyncio.Task[None]:
    """Returns a task that does `work` until it is cancelled. `title` names it in the log."""
    return asyncio.create_task(_kept(title, work), name=title)


async def _kept(title: str, work: Callable[[], Awaitable[Any]]) -> None:
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 -- nobody waits for this task, so nobody else would notice
            log.unexpected(_LOG, f"{title} failed; it starts again in {RESTART_SECONDS:g} s", error)
        await asyncio.sleep(RESTART_SECONDS)
