"""What the serving benchmark starts is gone when it stops it."""

from __future__ import annotations

import os
import select
from pathlib import Path

from benchmarks.serving import processes

SECONDS = 60.0


def test_what_a_crashed_server_leaves_behind_is_ended(tmp_path: Path) -> None:
    """If a server has crashed and its child lives on, stopping ends the child, too."""
    pid_file = tmp_path / "child"
    script = f"sleep 1000 & echo $! > {pid_file}; kill -9 $$"
    running = processes.start([["/bin/sh", "-c", script]], log=tmp_path / "log", cwd=tmp_path)
    running.processes[0].wait(SECONDS)
    child = os.pidfd_open(int(pid_file.read_text()))
    try:
        running.stop()
        assert select.select([child], [], [], SECONDS)[0]
    finally:
        os.close(child)
