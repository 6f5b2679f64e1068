"""A server's processes: started, found by their parent, measured through /proc, and ended.

They die with the process that started them (`launch.py` sees to it), however that ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from benchmarks.serving import launch
from benchmarks.serving.protocols import InvalidAnswer

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 90.0
STOP_SECONDS = 15.0


@dataclass
class Running:
    """One or more started processes with their descendants, each in a session of its own."""

    processes: list[subprocess.Popen[bytes]]
    log: IO[bytes]
    address: str = ""
    http: str = ""  # HOST:PORT for HTTP; empty: none
    authority: Path | None = None  # certificate of its authority, if it uses TLS
    token: str = ""  # token that callers need
    roots: list[int] = field(default_factory=list)  # processes that others started for it
    ends: list[Callable[[], object]] = field(default_factory=list)  # called first by `stop`
    _peaks: dict[int, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address for gRPC."""
        return f"{'http' if self.authority is None else 'https'}://{self.address}"

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers of a request in addition to gRPC's own."""
        return (f"authorization: Bearer {self.token}",) if self.token else ()

    def pids(self) -> list[int]:
        """The processes and all their descendants."""
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            fields = _fields(stat)
            if fields:
                children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found = [process.pid for process in self.processes] + self.roots
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_seconds(self) -> float:
        """User and system time of all living processes so far, in seconds."""
        return sum(map(_cpu_seconds, self.pids()))

    def peak_memory(self) -> dict[int, int]:
        """The largest resident set of each process so far, in bytes."""
        for pid in self.pids():
            for line in _lines(Path(f"/proc/{pid}/status")):
                if line.startswith("VmHWM:"):
                    self._peaks[pid] = int(line.split()[1]) * 1024
        return dict(self._peaks)

    def exited(self) -> bool:
        """Whether a process has ended by itself."""
        return any(process.poll() is not None for process in self.processes)

    def log_tail(self) -> str:
        """The end of what the processes have printed."""
        return Path(self.log.name).read_text()[-2000:]

    def stop(self) -> None:
        """Sends SIGTERM, waits, then sends SIGKILL to what is left of each session."""
        for end in self.ends:
            end()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            with suppress(ProcessLookupError):  # also what a crashed leader left behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.log.close()


def start(commands: list[list[str]], *, log: Path, env: dict[str, str] | None = None, cwd: Path) -> Running:
    """Starts each command in a session of its own. Output goes to `log`."""
    stream = log.open("wb")
    environment = {**os.environ, **(env or {})}
    return Running(
        [
            subprocess.Popen(
                [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *command],
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=cwd,
                start_new_session=True,
            )
            for command in commands
        ],
        stream,
    )


def read_address(file: Path, running: Running) -> str:
    """The address that a server writes into a file when it is ready.

    Raises:
        InvalidAnswer: the server ended, or was not ready in time. It is stopped.
    """
    deadline = time.monotonic() + START_SECONDS
    while not file.exists() or not file.read_text().strip():
        if running.exited() or time.monotonic() > deadline:
            running.stop()
            raise InvalidAnswer(f"the server did not start: {running.log_tail()}")
        time.sleep(0.05)  # another process writes the file
    return file.read_text().strip()


def stop_in_order() -> None:
    """From now on SIGTERM and SIGINT raise SystemExit, once.

    Running servers are stopped on the way out.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def free_port() -> int:
    """A port that was free a moment ago, for servers that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def machine_busy_seconds() -> float:
    """CPU time of the whole machine so far, in core-seconds."""
    numbers = [int(word) for word in _lines(Path("/proc/stat"))[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = numbers
    return (user + nice + system + irq + softirq + steal) / TICKS


def _cpu_seconds(pid: int) -> float:
    """User and system time of all threads so far, to the nanosecond; 0 if the process has ended."""
    clock = ~pid << 3 | 2  # the formula of clock_getcpuclockid on Linux
    try:
        return time.clock_gettime(clock)
    except OSError:
        return 0.0


def _fields(stat: Path) -> list[str]:
    lines = _lines(stat)
    return lines[0].rpartition(")")[2].split() if lines else []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # the process has ended meanwhile
        return []
