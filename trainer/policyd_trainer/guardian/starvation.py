"""How long a thread was ready to run while no core ran it, because the machine is busy."""

from __future__ import annotations

from pathlib import Path


def starved_seconds(pid: int, thread: int | None = None) -> float:
    """The seconds since the thread started. Without `thread`: of the process's first thread.

    Returns 0 if the kernel does not count them, or the thread is gone.
    """
    try:
        fields = Path(f"/proc/{pid}/task/{thread or pid}/schedstat").read_text().split()
        return int(fields[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
