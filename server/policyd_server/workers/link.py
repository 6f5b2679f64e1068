"""A worker's side of the connection to its supervisor."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
from collections.abc import Awaitable, Callable

from policyd.errors import FailedPrecondition
from policyd_server.services.health import Report
from policyd_server.workers.lines import Line, Lines

# The inherited end of the connection; set by the supervisor for its workers.
DESCRIPTOR = "POLICYD_WORKER_FD"
PATIENCE_SECONDS = 12.0  # for the supervisor's answer; it waits less for the workers

_LOG = logging.getLogger(__name__)


class WorkerLink:
    """Reports this worker's health, and shows the whole server's.

    It also makes the other workers follow an alias.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[list[int]]] = {}  # who does not follow
        self._reported: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def inherited(cls) -> WorkerLink | None:
        """The link of this process; None: it is no worker."""
        if DESCRIPTOR not in os.environ:
            return None
        return cls(await Lines.over(socket.socket(fileno=int(os.environ[DESCRIPTOR]))))

    def report_ready(self) -> None:
        """Tells that it serves."""
        self._lines.send({"ready": True})

    def report_health(self, service: str, *, serving: bool) -> None:
        """Tells what this worker would answer on its own, where that has changed."""
        if self._reported.get(service) is not serving:
            self._reported[service] = serving
            self._lines.send({"service": service, "serving": serving})

    async def fail(self, reason: str) -> None:
        """Tells why it cannot serve, and hangs up."""
        self._lines.send({"failed": reason})
        await self._lines.finish()

    async def refresh_others(self, policy: str) -> None:
        """Returns when every other worker follows the repository's aliases of this policy.

        FailedPrecondition: some do not. The aliases are set nevertheless.
        """
        number = next(self._ids)
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        self._lines.send({"ask": number, "refresh": policy})
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                behind = await asked
        except TimeoutError:
            raise _not_followed(policy, "the workers' supervisor does not answer") from None
        finally:
            del self._asked[number]
        if behind:
            pids = ", ".join(map(str, behind))
            raise _not_followed(policy, f"worker {pids} does not follow yet, and is replaced if it hangs")

    async def obey(self, refresh: Callable[[str], Awaitable[None]], show_health: Report) -> None:
        """Follows the supervisor's messages until the connection ends."""
        async for line in self._lines:
            if "ping" in line:
                self._lines.send({"pong": line["ping"]})
            elif "service" in line:
                show_health(line["service"], serving=line["serving"])
            elif "do" in line:
                self._start(self._refresh(line, refresh))
            elif (asked := self._asked.get(line["answered"])) is not None and not asked.done():
                asked.set_result(line["behind"])

    async def _refresh(self, line: Line, refresh: Callable[[str], Awaitable[None]]) -> None:
        followed = True
        try:
            await refresh(line["refresh"])
        except Exception:  # noqa: BLE001 -- the follower's own poll tries again
            followed = False
            _LOG.exception("following %s failed", line["refresh"])
        self._lines.send({"done": line["do"], "followed": followed})

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _not_followed(policy: str, why: str) -> FailedPrecondition:
    message = f"the aliases of {policy} are set, but not every worker answers with them: {why}"
    return FailedPrecondition(message, reason="NOT_FOLLOWED")
