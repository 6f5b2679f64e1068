"""The demo and `make up` when things go wrong.

A clear message, an exit code, no process left behind.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Runs the demo with the variables of another stack set.

    It runs in a process group of its own, as a terminal would start it.
    """
    variables = os.environ | {"PYTHONPATH": str(ROOT), "POLICYD_ALLOW_ENV": "no:*", "POLICYD_LISTEN": "x:1"}
    command = (sys.executable, "-m", "examples.demo")
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _read_until(process: subprocess.Popen[str], text: str) -> str:
    """The output up to the line that contains `text`."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if text in line:
            return printed
    raise AssertionError(f"the demo ended before it printed {text!r}:\n{printed}")


def _services(printed: str) -> tuple[int, int]:
    """Process ids of trainer and server."""
    trainer, server = re.findall(r"\(pid (\d+)\)", printed)
    return int(trainer), int(server)


def _assert_gone(pid: int) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_ctrl_c_stops_everything(demo: subprocess.Popen[str]) -> None:
    """Ctrl-C during training gives exit code 130 and a message, and ends services and client."""
    printed = _read_until(demo, "running")
    os.killpg(demo.pid, signal.SIGINT)  # a terminal sends it to the whole foreground group
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, rest
    assert "demo: interrupted" in rest
    assert "Traceback" not in rest
    for pid in _services(printed):
        _assert_gone(pid)


@pytest.mark.parametrize(
    ("module", "said"),
    [("tempfile", "demo: interrupted"), ("numpy", "demo: no process is left")],
    ids=["nothing-runs", "services-start"],
)
def test_ctrl_c_before_it_begins(tmp_path: Path, module: str, said: str) -> None:
    """Ctrl-C while modules are imported, before and after the services start: exit code 130."""
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        (sys.executable, "-m", "examples.demo"),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    assert "demo: interrupted\n" in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("victim", [0, 1], ids=["trainer", "server"])
def test_a_process_that_dies_ends_the_demo(demo: subprocess.Popen[str], victim: int) -> None:
    """One of the services is killed with kill -9.

    The demo names it and the signal, ends the other one, and has exit code 1.
    """
    printed = _read_until(demo, "running")
    services = _services(printed)
    os.kill(services[victim], signal.SIGKILL)
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1, rest
    assert f"demo: the {('trainer', 'server')[victim]} ended with signal SIGKILL" in rest
    for pid in services:
        _assert_gone(pid)


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    """`make up` with a port in use names the port and leaves nothing behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = (sys.executable, "-m", "examples.stack", "--folder", str(tmp_path))
        done = subprocess.run(
            [
                *command,
                "--listen",
                f"127.0.0.1:{port}",
                "--trainer",
                "127.0.0.1:0",
                "--metrics",
                "127.0.0.1:0",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert "up: the server ended with exit code" in done.stderr
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


def test_no_network_is_said(tmp_path: Path) -> None:
    """`make install` without an index says what is missing, and the next run starts again."""
    variables = os.environ | {
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": "0",
    }
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "MAKEFLAGS", "MAKELEVEL"):
        variables.pop(name, None)
    venv = tmp_path / "venv"
    done = subprocess.run(
        ["make", "install", f"VENV={venv}", f"PYTHON={sys.executable}"],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode != 0
    assert "is there a network" in done.stderr
    assert not (venv / ".installed").exists()
