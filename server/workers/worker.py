"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Sequence

from server.workers.lines import Lines
from server.workers.link import DESCRIPTOR


class Worker:
    """A process and the connection to it."""

    def __init__(self, process: asyncio.subprocess.Process, lines: Lines) -> None:
        self.process = process
        self.lines = lines
        self.ready = False
        self.health: dict[str, bool] = {}  # as it says itself
        self.doing: dict[int, asyncio.Future[None]] = {}  # what it was told and has not done yet

    @classmethod
    async def start(cls, arguments: Sequence[str]) -> Worker:
        """Starts `python -m server` with these arguments as a worker."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "server", *arguments),
                env=os.environ | {DESCRIPTOR: str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
            )
        return cls(process, await Lines.over(ours))

    def tell_to_refresh(self, number: int, policy: str) -> asyncio.Future[None]:
        """Done when the worker follows the policy, or is gone."""
        self.doing[number] = done = asyncio.get_running_loop().create_future()
        self.lines.send({"do": number, "refresh": policy})
        return done

    def finished(self, number: int) -> None:
        """Notes that it has done what it was told."""
        if (done := self.doing.pop(number, None)) is not None and not done.done():
            done.set_result(None)

    def gone(self) -> None:
        """Nobody waits for it any more."""
        for number in list(self.doing):
            self.finished(number)
        self.lines.close()

    async def stop(self, grace: float) -> None:
        """SIGTERM; after `grace` seconds SIGKILL."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(grace):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
