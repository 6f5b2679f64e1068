"""A process that belongs to one server and starts when somebody connects to its socket."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from policyd.temporary import TemporaryFolder
from policyd_server import background, child_process

RESTART_SECONDS = 1.0
_LOG = logging.getLogger(__name__)


class OnDemandProcess:
    """Holds a listening socket, and starts a process when somebody connects to it.

    A server that does not need the process never starts it. If the process dies, the next
    connection starts it again. The socket stays open meanwhile, so that no worker is refused.
    """

    def __init__(self, title: str, variable: str, module: str, arguments: Sequence[str]) -> None:
        """The command is `python -m MODULE ARGUMENTS FD OWNER`.

        FD is the listening socket. Workers find its path in the environment variable `variable`.
        """
        self._title = title
        self._variable = variable
        self._command = (sys.executable, "-m", module, *arguments)
        self._folder = TemporaryFolder("on-demand", sockets=True)
        self.path = str(self._folder.path / "socket")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(256)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to watch the socket."""
        os.environ[self._variable] = self.path
        self._task = background.started(f"keeping {self._title}", self._keep)

    async def stop(self) -> None:
        """Ends the process. The workers that use it have ended before."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._listener.close()
        self._folder.remove()

    async def _keep(self) -> None:
        while True:
            await child_process.readable(self._listener.fileno())  # a client waits to be accepted
            try:
                process = self._start_process()
            except OSError as error:  # no memory, or too many processes: tried again, as it may pass
                _LOG.error("%s cannot be started: %s", self._title, error)
                await asyncio.sleep(RESTART_SECONDS)
                continue
            try:
                code = await child_process.ended(process)
            finally:
                await child_process.end(process)
            _LOG.error("%s ended with code %d; it restarts when it is needed", self._title, code)
            await asyncio.sleep(RESTART_SECONDS)

    def _start_process(self) -> subprocess.Popen[bytes]:
        """Starts the process with vfork, from this thread.

        uvloop would fork, which gRPC's threads must not see. And the kernel kills the process when
        the thread that started it ends.
        """
        listener = self._listener.fileno()
        return subprocess.Popen([*self._command, str(listener), str(os.getpid())], pass_fds=[listener])
