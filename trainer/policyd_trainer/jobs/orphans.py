"""Ends what is left of a job whose guardian was killed.

A worker dies with its guardian, and the guardian ends everything below itself. Only where the
guardian was killed, together with its trainer for example, may processes of an environment live on.
They are found by the job's cgroup where cgroups can be written, else by the job's mark in their
environment variables. A process without that mark, in a session of its own, cannot be found without
cgroups.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

from policyd_trainer.guardian import cgroup

JOB_VARIABLE = "POLICYD_JOB_ID"  # set for a worker and all processes that it starts
_DEADLINE = 5.0  # seconds that the kernel may take to end a killed process


def group_name(job_id: str) -> str:
    """The name of the job's cgroup."""
    return f"policyd-{job_id}"


def kill_orphans(job_id: str) -> int:
    """Ends the processes of a job and waits for their end.

    Returns how many processes had the job's mark.
    """
    for group in cgroup.named(group_name(job_id)):
        cgroup.end(group)
    marker = f"{JOB_VARIABLE}={job_id}".encode()
    killed = 0
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):  # not a process, or it has ended, or it belongs to somebody else
            pid = int(entry.name)
            if marker in (entry / "environ").read_bytes().split(b"\0"):
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
