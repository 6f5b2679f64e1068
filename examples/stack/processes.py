"""One service process: its log, its port, its end."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# Seconds.
START_SECONDS = 120.0  # a slow disk or many policies take long
STOP_DEADLINE = 10.0
_POLL = 0.05


class ProcessFailure(Exception):
    """A process did not start, or it ended by itself. The message has its log's last lines."""


class ServiceProcess:
    """A service in a process group of its own. It ends when this process does.

    It runs `command` with `--port-file FILE`. The service writes its address into that file.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._port_file = folder / f"{name}.port"
        self._port_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._begin = log.tell()  # the file also has the output of earlier starts
            self._popen = subprocess.Popen(
                _ending_with_parent([*command, "--port-file", str(self._port_file)]),
                env={**os.environ, **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C stops both in order, so it must not reach them directly
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    def address(self, seconds: float = START_SECONDS) -> str:
        """Waits until the service listens, and returns HOST:PORT.

        Raises:
            ProcessFailure: it does not listen in time.
        """
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.check()
            with contextlib.suppress(FileNotFoundError):
                if text := self._port_file.read_text().strip():
                    return text
            time.sleep(_POLL)
        raise ProcessFailure(self._failure(f"did not listen within {seconds:g} s"))

    def check(self) -> None:
        """Raises ProcessFailure if the process has ended."""
        code = self._popen.poll()
        if code is not None:
            raise ProcessFailure(self._failure(f"ended with {_ending(code)}"))

    def stop(self) -> int:
        """Asks the process to end. Kills its group after the deadline. Returns the exit code."""
        try:
            self._popen.terminate()
            return self._popen.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            return self._kill()
        except BaseException:  # a second Ctrl-C during the wait
            self._kill()
            raise

    def _kill(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._popen.wait()

    def _failure(self, what: str) -> str:
        with self.log.open("rb") as log:
            log.seek(self._begin)
            lines = log.read().decode(errors="replace").splitlines()
        reason = f": {found}" if (found := _reason(lines)) else ""
        tail = [f"  {line}" for line in lines[-10:]]
        return "\n".join([f"the {self.name} {what}{reason}", f"its log {self.log} ends with:", *tail])


def _reason(lines: Sequence[str]) -> str:
    """The line that gives the reason: the first error of this start, or else the last line."""
    written = [line.strip() for line in lines if line.strip()]
    errors = [line for line in written if re.search(r"\b(ERROR|CRITICAL|[Ee]rror|\w+Error)\b", line)]
    return next(iter(errors or written[-1:]), "")


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _ending_with_parent(command: Sequence[str]) -> list[str]:
    """The command, with util-linux's setpriv before it: the kernel then signals a parent's death.

    If this process dies, the command gets SIGTERM. A program does that, and not a function between
    fork and exec: the threads of gRPC in this process would have to survive the fork, and they
    sometimes do not.
    """
    setpriv = shutil.which("setpriv") if sys.platform.startswith("linux") else None
    return [setpriv, "--pdeathsig", "TERM", "--", *command] if setpriv else list(command)
