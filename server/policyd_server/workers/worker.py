"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from policyd.runtime.running_time import timeout
from policyd_server.workers.lines import Lines
from policyd_server.workers.link import DESCRIPTOR

SUSPECT_BEATS = 3  # unanswered in a row; the worker may hang, and counts as not serving


class Worker:
    """A process and the connection to it."""

    def __init__(self, process: asyncio.subprocess.Process, lines: Lines) -> None:
        self.process = process
        self.lines = lines
        self.ready = False
        self.served = False  # whether it was ever ready
        self.failure = ""  # why it could not start, in its own words
        self.beats = 0  # heartbeats since it started
        self.unanswered = 0  # heartbeats since its last answer
        self.health: dict[str, bool] = {}  # as the worker reports it
        self.doing: dict[int, asyncio.Future[Any]] = {}  # what it was asked to do and has not done yet

    @classmethod
    async def start(cls, arguments: Sequence[str], descriptors: Sequence[int] = ()) -> Worker:
        """Starts `policyd-server` with these arguments as a worker; it inherits the descriptors."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "policyd_server", *arguments),
                    env=os.environ | {DESCRIPTOR: str(theirs.fileno())},
                    pass_fds=[theirs.fileno(), *descriptors],
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, await Lines.over(ours))

    @property
    def responds(self) -> bool:
        """Whether it has answered one of its last heartbeats."""
        return self.unanswered <= SUSPECT_BEATS

    def serves(self, service: str) -> bool:
        """Whether it serves a service."""
        return self.ready and self.responds and self.health.get(service, False)

    def tell(self, number: int, what: str, of: Any) -> asyncio.Future[Any]:
        """Asks the worker to do something. The future gets its result.

        None: the worker has ended. False: it has failed.
        """
        self.doing[number] = done = asyncio.get_running_loop().create_future()
        self.lines.send({"do": number, "what": what, "of": of})
        return done

    def finished(self, number: int, result: Any) -> None:
        """Called when it has done what it was asked."""
        if (done := self.doing.pop(number, None)) is not None and not done.done():
            done.set_result(result)

    def gone(self) -> None:
        """Ends the waiting of everybody who waits for this worker."""
        for number in list(self.doing):
            self.finished(number, None)
        self.lines.close()

    async def stop(self, grace: float) -> None:
        """Sends SIGTERM, and after `grace` seconds SIGKILL."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with timeout(grace):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
