"""Ends what a dead trainer's worker left behind: it dies with the trainer itself, its children may not."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

JOB_VARIABLE = "POLICYD_JOB_ID"  # in a worker's environment: marks its processes
_DEADLINE = 5.0  # seconds that the kernel may take to end a killed process


def kill_orphans(group: int, job_id: str) -> int:
    """Ends the processes of the job in process group `group` and waits for that. Answers how many."""
    marker = f"{JOB_VARIABLE}={job_id}".encode()
    killed = 0
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):  # no process, it ended, or it is not ours to look at
            pid = int(entry.name)
            if os.getpgid(pid) == group and marker in (entry / "environ").read_bytes().split(b"\0"):
                _kill(pid)
                killed += 1
    return killed


def _kill(pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [], _DEADLINE)
    finally:
        os.close(descriptor)
