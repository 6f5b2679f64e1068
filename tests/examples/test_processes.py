"""Starting and ending service processes: real ones, each a few lines of Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from examples.stack import processes
from examples.stack.processes import ProcessFailure, ServiceProcess
from tests.waiting import until

LISTENS = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, {on_term})
pathlib.Path(sys.argv[sys.argv.index("--port-file") + 1]).write_text("127.0.0.1:1")
while True:
    signal.pause()
"""
CLEAN = LISTENS.format(on_term="lambda *_: sys.exit(0)")
STUBBORN = LISTENS.format(on_term="signal.SIG_IGN")


def _start(code: str, folder: Path) -> ServiceProcess:
    return ServiceProcess("service", (sys.executable, "-c", code), folder)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def test_a_service_listens_and_stops(tmp_path: Path) -> None:
    """The address is what the service wrote. Stopping returns its exit code."""
    service = _start(CLEAN, tmp_path)
    assert service.address() == "127.0.0.1:1"
    service.check()
    assert service.stop() == 0


def test_a_service_that_breaks_says_why(tmp_path: Path) -> None:
    """If a service ends before it listens, the error has its exit code and the end of its log."""
    service = _start("raise SystemExit('port 50051 is taken')", tmp_path)
    with pytest.raises(ProcessFailure, match=r"(?s)the service ended with exit code 1.*port 50051 is taken"):
        service.address()


def test_a_killed_service_is_noticed(tmp_path: Path) -> None:
    """check() names the signal that ended the service."""
    service = _start(CLEAN, tmp_path)
    service.address()
    os.kill(service.pid, signal.SIGKILL)
    os.waitid(os.P_PID, service.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ProcessFailure, match="signal SIGKILL"):
        service.check()


def test_a_stubborn_service_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that ignores SIGTERM is killed after the deadline."""
    monkeypatch.setattr(processes, "STOP_DEADLINE", 0.2)
    service = _start(STUBBORN, tmp_path)
    service.address()
    assert service.stop() == -signal.SIGKILL


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="dying with the parent is Linux's prctl")
def test_a_service_dies_with_its_starter(tmp_path: Path) -> None:
    """After kill -9 of the process that started it no service is left behind."""
    starter = (
        "import pathlib, sys\n"
        "from examples.stack.processes import ServiceProcess\n"
        f"command = (sys.executable, '-c', {CLEAN!r})\n"
        f"service = ServiceProcess('service', command, pathlib.Path({str(tmp_path)!r}))\n"
        "service.address()\n"
        "print(service.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        (sys.executable, "-c", starter), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert _alive(pid)
        parent.kill()
    until(lambda: not _alive(pid))
