"""One service process: its log, its port, its end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Seconds.
START_DEADLINE = 30.0
STOP_DEADLINE = 10.0
_POLL = 0.05

_PR_SET_PDEATHSIG = 1


class ProcessFailure(Exception):
    """A process did not start, or ended by itself. The message ends with its log's last lines."""


class ServiceProcess:
    """A service in a process group of its own; it ends when this process does.

    `command` is run with `--port-file FILE` added, into which it writes the address that it listens on.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._port_file = folder / f"{name}.port"
        self._port_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [*command, "--port-file", str(self._port_file)],
                env={**os.environ, **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal reaches us alone: we stop them in order
                preexec_fn=_end_with_parent(),  # noqa: PLW1509  (the stack starts before any thread)
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    def address(self) -> str:
        """HOST:PORT as soon as it listens; ProcessFailure if it does not come to that."""
        ends = time.monotonic() + START_DEADLINE
        while time.monotonic() < ends:
            self.check()
            with contextlib.suppress(FileNotFoundError):
                if text := self._port_file.read_text().strip():
                    return text
            time.sleep(_POLL)
        raise ProcessFailure(self._failure(f"did not listen within {START_DEADLINE:.0f} s"))

    def check(self) -> None:
        """ProcessFailure if the process has ended."""
        code = self._popen.poll()
        if code is not None:
            raise ProcessFailure(self._failure(f"ended with {_ending(code)}"))

    def stop(self) -> int:
        """Asks the process to end, kills its group after the deadline; its exit code."""
        try:
            self._popen.terminate()
            return self._popen.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            return self._kill()
        except BaseException:  # a second Ctrl-C while we wait
            self._kill()
            raise

    def _kill(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._popen.wait()

    def _failure(self, what: str) -> str:
        tail = self.log.read_text(errors="replace").splitlines()[-10:]
        return "\n".join(
            [f"the {self.name} {what}; its log {self.log} ends with:", *(f"  {t}" for t in tail)]
        )


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _end_with_parent() -> Callable[[], None] | None:
    """What the child runs before it becomes the service: on Linux, SIGTERM when this process dies."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
