"""A worker's side of the connection to its supervisor."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
from collections.abc import Awaitable, Callable

from server.services.health import Report
from server.workers.lines import Line, Lines

# The inherited end of the connection; set by the supervisor for its workers.
DESCRIPTOR = "POLICYD_WORKER_FD"
REFRESH_SECONDS = 10.0  # for all other workers to follow a promotion

_LOG = logging.getLogger(__name__)


class WorkerLink:
    """Reports this worker's health, shows everybody's, and makes the other workers follow."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def inherited(cls) -> WorkerLink | None:
        """The link of this process; None: it is no worker."""
        if DESCRIPTOR not in os.environ:
            return None
        return cls(await Lines.over(socket.socket(fileno=int(os.environ[DESCRIPTOR]))))

    def report_ready(self, port: int) -> None:
        """Tells that it serves."""
        self._lines.send({"ready": port})

    def report_health(self, service: str, *, serving: bool) -> None:
        """What this worker would answer on its own."""
        self._lines.send({"service": service, "serving": serving})

    async def refresh_others(self, policy: str) -> None:
        """Returns when every other worker follows the repository's aliases of this policy."""
        number = next(self._ids)
        self._asked[number] = asyncio.get_running_loop().create_future()
        self._lines.send({"ask": number, "refresh": policy})
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                await self._asked[number]
        except TimeoutError:
            _LOG.error("a worker did not follow %s in %g s; its next poll will", policy, REFRESH_SECONDS)
        finally:
            del self._asked[number]

    async def obey(self, refresh: Callable[[str], Awaitable[None]], show_health: Report) -> None:
        """Does what the supervisor says, until it is gone."""
        async for line in self._lines:
            if "service" in line:
                show_health(line["service"], serving=line["serving"])
            elif "do" in line:
                self._start(self._refresh(line, refresh))
            elif (asked := self._asked.get(line["answered"])) is not None and not asked.done():
                asked.set_result(None)

    async def _refresh(self, line: Line, refresh: Callable[[str], Awaitable[None]]) -> None:
        try:
            await refresh(line["refresh"])
        except Exception:  # noqa: BLE001 -- the follower's own poll tries again
            _LOG.exception("following %s failed", line["refresh"])
        self._lines.send({"done": line["do"]})

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
