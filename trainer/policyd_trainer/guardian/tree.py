"""The processes below this one, and how to end them.

A guardian is a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): a process below it whose parent has
ended becomes its child, also one with a session of its own. So the tree below it is complete.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
DEADLINE = 5.0  # seconds that the kernel may take to end killed processes
# Python starts one with a first child of `multiprocessing`. It ends after its owner, by itself.
_TRACKER = b"from multiprocessing.resource_tracker import"
_PAUSE = 0.01  # seconds between two looks at the tree

_LIBC = ctypes.CDLL(None)  # loaded before any fork


def become_subreaper() -> None:
    """Makes this process the parent of every orphan below it."""
    _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)


def signal_at_death_of_parent(number: signal.Signals) -> None:
    """Asks the kernel to send this process a signal when its parent ends."""
    _LIBC.prctl(PR_SET_PDEATHSIG, number)


def descendants(root: int) -> list[int]:
    """Every process below `root`, zombies left out."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # it has just ended
            # pid (name) state ppid ...: the name may hold spaces and brackets
            state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def describe(pid: int) -> str:
    """A process in words: its command line, shortened, and its number."""
    with suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return f"{line[:80] or 'a process'} (pid {pid})"
    return f"a process (pid {pid})"


def _is_tracker(pid: int) -> bool:
    """Whether this is Python's own, which nobody left behind."""
    with suppress(OSError):
        return _TRACKER in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def end_descendants() -> tuple[list[str], list[str]]:
    """Kills everything below this process and waits.

    Returns what was ended, Python's own processes left out, and what would not end.
    """
    ended: dict[int, str] = {}
    give_up = time.monotonic() + DEADLINE
    while True:
        reap()
        left = descendants(os.getpid())
        if not left or time.monotonic() > give_up:
            return [name for pid, name in ended.items() if pid not in left], [describe(pid) for pid in left]
        for pid in left:
            if not _is_tracker(pid):
                ended.setdefault(pid, describe(pid))
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE)  # no event tells that the last of a changing set of processes has ended


def reap(child: int | None = None) -> int | None:
    """Takes in every child that has ended.

    Returns the wait status of `child` if it is among them.
    """
    status = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                status = ended[1]
    return status
