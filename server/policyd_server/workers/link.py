"""A worker's side of the connection to its supervisor."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from policyd.errors import FailedPrecondition
from policyd.runtime.running_time import timeout
from policyd_server.services.health import Report
from policyd_server.workers.lines import Line, Lines

# The variable with the inherited end of the connection. The supervisor sets it.
DESCRIPTOR = "POLICYD_WORKER_FD"
REFRESH = "refresh"  # follow the aliases of a policy
SETTLE = "settle"  # answer when all earlier lines were obeyed
FIGURES = "figures"  # return the figures of inference requests, of a policy or of all
Do = Callable[[str], Awaitable[Any]]
PATIENCE_SECONDS = 12.0  # for the supervisor's answer; the supervisor waits less for the workers

_LOG = logging.getLogger(__name__)


class WorkerLink:
    """Reports this worker's health, shows the whole server's, and asks the other workers."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Line]] = {}
        self._reported: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def inherited(cls) -> WorkerLink | None:
        """Returns the link of this process. None: it is not a worker."""
        if DESCRIPTOR not in os.environ:
            return None
        return cls(await Lines.over(socket.socket(fileno=int(os.environ[DESCRIPTOR]))))

    def report_ready(self) -> None:
        """Reports that it serves."""
        self._lines.send({"ready": True})

    def report_health(self, service: str, *, serving: bool) -> None:
        """Reports what this worker would answer on its own, if that has changed."""
        if self._reported.get(service) is not serving:
            self._reported[service] = serving
            self._lines.send({"service": service, "serving": serving})

    async def fail(self, reason: str) -> None:
        """Reports why it cannot serve, and closes the connection."""
        self._lines.send({"failed": reason})
        await self._lines.finish()

    async def refresh_others(self, policy: str) -> None:
        """Returns when every other worker follows the repository's aliases of this policy.

        Raises FailedPrecondition if some do not. The aliases are set nevertheless.
        """
        try:
            answered = await self._ask(REFRESH, policy)
        except TimeoutError:
            raise _not_followed(policy, "the workers' supervisor does not answer") from None
        failed = [pid for pid, result in answered["results"] if result is False]
        if behind := [*answered["silent"], *failed]:
            pids = ", ".join(map(str, behind))
            raise _not_followed(policy, f"worker {pids} does not follow yet, and is replaced if it hangs")

    async def figures_of_others(self, policy: str) -> list[Any]:
        """Returns the other workers' answers to `FIGURES`. Late ones are missing."""
        try:
            answered = await self._ask(FIGURES, policy)
        except TimeoutError:
            return []
        return [result for _, result in answered["results"] if result]

    async def _ask(self, what: str, of: Any) -> Line:
        """Returns the supervisor's answer for all other workers. TimeoutError: there is none."""
        number = next(self._ids)
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        self._lines.send({"ask": number, "what": what, "of": of})
        try:
            async with timeout(PATIENCE_SECONDS):
                answered: Line = await asked
                return answered
        finally:
            del self._asked[number]

    async def obey(self, do: Mapping[str, Do], show_health: Report) -> None:
        """Follows the supervisor's messages until the connection ends. `do`: handlers by name."""
        do = {SETTLE: _settled, **do}
        async for line in self._lines:
            if "ping" in line:
                self._lines.send({"pong": line["ping"]})
            elif "service" in line:
                show_health(line["service"], serving=line["serving"])
            elif "do" in line:
                self._start(self._do(line, do[line["what"]]))
            elif (asked := self._asked.get(line["answered"])) is not None and not asked.done():
                asked.set_result(line)

    async def _do(self, line: Line, do: Do) -> None:
        try:
            result = await do(line["of"])
        except Exception:  # noqa: BLE001 -- the boundary to the other workers, which are told
            result = False
            _LOG.exception("%s %s failed", line["what"], line["of"])
        self._lines.send({"done": line["do"], "result": result})

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _settled(_: str) -> bool:
    """Returns true. Lines are obeyed in order, so all earlier ones were obeyed."""
    return True


def _not_followed(policy: str, why: str) -> FailedPrecondition:
    message = f"the aliases of {policy} are set, but not every worker answers with them: {why}"
    return FailedPrecondition(message, reason="NOT_FOLLOWED")
