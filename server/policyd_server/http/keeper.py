"""Owns the HTTP process of one server: its port, its start, its end."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from policyd.errors import FailedPrecondition
from policyd.runtime import listen_address
from policyd_server import child_process
from policyd_server.settings import Settings
from policyd_server.transports import private, sockets

#: The settings of the server, as JSON, for the HTTP process.
VARIABLE = "POLICYD_HTTP_SETTINGS"
MAX_RESTART_SECONDS = 30.0  # between two starts of a process that keeps ending; the first comes after 1 s
STEADY_SECONDS = 60.0  # a process that ran longer starts again soon
KILL_MARGIN = 5.0  # seconds beyond the drain until the process is killed
_LOG = logging.getLogger(__name__)


class HttpKeeper:
    """Keeps the HTTP process running. Holds its listening socket and the folder of private sockets.

    The socket stays while a process that died is started again, so that no client is refused then.
    """

    def __init__(self, settings: Settings, address: str) -> None:
        """Binds the address.

        FailedPrecondition: it is taken or open to strangers, or the extra `http` is missing.
        """
        _check_installed()
        security = settings.security
        listen_address.check(address, tls=security.tls is not None, insecure=security.insecure)
        if security.tls is not None:
            security.tls.check()
        self._listener = sockets.bound(address, shared=False)
        scheme = "http" if security.tls is None else "https"
        self.url = f"{scheme}://{sockets.told(address, self._listener)}"
        self._folder = Path(tempfile.mkdtemp(prefix="policyd-http-"))
        self._settings = settings
        self._grace = settings.drain_seconds + KILL_MARGIN
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the process. Workers find the folder of private sockets in the environment."""
        os.environ[private.VARIABLE] = str(self._folder)
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Lets the process answer what is in flight; gives the port back. May be repeated."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._listener.close()

    def forget(self) -> None:
        """Removes the folder, once the workers have ended."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _keep(self) -> None:
        _LOG.info("HTTP on %s", self.url)
        delay = 1.0
        while True:
            begin = time.monotonic()
            process = self._start_process()
            try:
                code = await child_process.ended(process)
            finally:
                await child_process.end(process, self._grace)
            delay = 1.0 if time.monotonic() - begin > STEADY_SECONDS else delay
            _LOG.error("the HTTP process ended with code %d; another starts in %g s", code, delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RESTART_SECONDS)

    def _start_process(self) -> subprocess.Popen[bytes]:
        """Starts the process by vfork, from this thread.

        gRPC's threads must not see a fork, which uvloop would make; and the kernel ends the process
        with the thread that started it.
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
