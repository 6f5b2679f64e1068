"""Owns the HTTP process of one server: its port, its start, its end."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import subprocess
import sys
import time
from contextlib import suppress

from policyd.errors import FailedPrecondition
from policyd.runtime import listen_address
from policyd.temporary import TemporaryFolder
from policyd_server import background, child_process
from policyd_server.settings import Settings
from policyd_server.transports import private, sockets

#: The variable with the server's settings as JSON, for the HTTP process.
VARIABLE = "POLICYD_HTTP_SETTINGS"
# longest pause before a process that keeps ending is started again; the first is 1 s
MAX_RESTART_SECONDS = 30.0
STEADY_SECONDS = 60.0  # after it has run for longer, the pause is short again
KILL_MARGIN = 5.0  # the process is killed this long after the drain
_LOG = logging.getLogger(__name__)


class HttpKeeper:
    """Keeps the HTTP process running. Holds its listening socket and the private sockets' folder.

    If the process dies, the socket stays open until it runs again, so no client is refused.
    """

    def __init__(self, settings: Settings, address: str) -> None:
        """Binds the address.

        Raises FailedPrecondition if it is taken, if other machines reach it without TLS, or if the
        extra `http` is missing.
        """
        _check_installed()
        security = settings.security
        listen_address.check(address, tls=security.tls is not None, insecure=security.insecure)
        if security.tls is not None:
            security.tls.check()
        self._listener = sockets.bound(address, shared=False)
        scheme = "http" if security.tls is None else "https"
        self.url = f"{scheme}://{sockets.told(address, self._listener)}"
        self._folder = TemporaryFolder("http", sockets=True)
        self._settings = settings
        self._grace = settings.drain_seconds + KILL_MARGIN
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the process. The environment tells workers the folder of the private sockets."""
        os.environ[private.VARIABLE] = str(self._folder.path)
        self._task = background.started("keeping the HTTP process", self._keep)

    async def stop(self) -> None:
        """Lets the process answer calls in flight, then releases the port.

        It may be called again.
        """
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._listener.close()

    def forget(self) -> None:
        """Removes the folder. Called when the workers have ended."""
        self._folder.remove()

    async def _keep(self) -> None:
        _LOG.info("HTTP on %s", self.url)
        delay = 1.0
        while True:
            begin = time.monotonic()
            ending = await self._run_process()
            delay = 1.0 if time.monotonic() - begin > STEADY_SECONDS else delay
            _LOG.error("the HTTP process %s; another starts in %g s", ending, delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RESTART_SECONDS)

    async def _run_process(self) -> str:
        """Starts the process and waits for its end. Returns in words how it ended."""
        try:
            process = self._start_process()
        except OSError as error:  # no memory, or too many processes: this may pass
            return f"cannot be started: {error}"
        try:
            return f"ended with code {await child_process.ended(process)}"
        finally:
            await child_process.end(process, self._grace)

    def _start_process(self) -> subprocess.Popen[bytes]:
        """Starts the process with vfork, from this thread.

        uvloop would fork, which gRPC's threads must not see. And the kernel kills the process when
        the thread that started it ends.
        """
        listener = self._listener.fileno()
        settings = self._settings.model_dump_json(exclude={"trainer_link"})
        return subprocess.Popen(
            [sys.executable, "-m", "policyd_server.http.process", str(listener), str(os.getpid())],
            pass_fds=[listener],
            env=os.environ | {VARIABLE: settings},
        )


def _check_installed() -> None:
    needed = ("starlette", "uvicorn", "httptools", "jinja2")
    missing = [name for name in needed if not importlib.util.find_spec(name)]
    if missing:
        message = f"--http needs {', '.join(missing)}: pip install 'policyd[http]'"
        raise FailedPrecondition(message, reason="HTTP_MISSING")
