"""A process that belongs to one server and starts when somebody connects to its socket."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from policyd_server import child_process

RESTART_SECONDS = 1.0
_LOG = logging.getLogger(__name__)


class OnDemandProcess:
    """Holds the listening socket, and starts the process when somebody connects.

    A server that does not need it never starts one. A process that dies is started by the next
    connection; the socket stays, so that no worker is refused meanwhile.
    """

    def __init__(self, title: str, variable: str, module: str, arguments: Sequence[str]) -> None:
        """The command is `python -m MODULE ARGUMENTS FD OWNER`.

        FD is the listening socket. Workers find its path in the environment variable `variable`.
        """
        self._title = title
        self._variable = variable
        self._command = (sys.executable, "-m", module, *arguments)
        self._folder = Path(tempfile.mkdtemp(prefix="policyd-"))
        self.path = str(self._folder / "socket")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(256)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Watches the socket."""
        os.environ[self._variable] = self.path
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ends the process. Its workers have ended before."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _keep(self) -> None:
        while True:
            await child_process.readable(self._listener.fileno())  # somebody waits to be accepted
            process = self._start_process()
            try:
                code = await child_process.ended(process)
            finally:
                await child_process.end(process)
            _LOG.error("%s ended with code %d; it restarts when it is needed", self._title, code)
            await asyncio.sleep(RESTART_SECONDS)

    def _start_process(self) -> subprocess.Popen[bytes]:
        """Starts the process by vfork, from this thread.

        gRPC's threads must not see a fork, which uvloop would make; and the kernel ends the process
        with the thread that started it.
        """
        listener = self._listener.fileno()
        return subprocess.Popen([*self._command, str(listener), str(os.getpid())], pass_fds=[listener])
