"""How long a thread could have run: without pauses of its process and waits for a core."""

from __future__ import annotations

from pathlib import Path

from policyd.runtime.running_time import LONGEST_LOOK, RunningTime


class OwnTime:
    """Measures the time of a process's first thread, from look to look."""

    def __init__(self, pid: int, longest_look: float = LONGEST_LOOK) -> None:
        """`longest_look`: what a gap between two looks counts at most, see `RunningTime`."""
        self._pid = pid
        self._running = RunningTime(longest_look)
        self._ran, self._starved = _counted(pid)

    def look(self) -> float:
        """The seconds since the last look in which the thread ran, or waited for something.

        It counts what the thread ran for in any case: code in C that keeps Python's lock lets no
        other thread of its process look.
        """
        ran, starved = self._ran, self._starved
        self._ran, self._starved = _counted(self._pid)
        passed = self._running.look(at_least=self._ran - ran)
        return max(0.0, passed - max(0.0, self._starved - starved))


def starved_seconds(pid: int, thread: int | None = None) -> float:
    """How long a thread was ready to run while no core ran it, because the machine is busy.

    In seconds since the thread started. Without `thread`: of the process's first thread. Returns 0
    if the kernel does not count them, or the thread is gone.
    """
    return _counted(pid, thread)[1]


def _counted(pid: int, thread: int | None = None) -> tuple[float, float]:
    """The seconds for which a thread ran, and those for which it was ready and did not run."""
    try:
        fields = Path(f"/proc/{pid}/task/{thread or pid}/schedstat").read_text().split()
        return int(fields[0]) / 1e9, int(fields[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0, 0.0
