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

from policyd.runtime.running_time import RunningTime

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
DEADLINE = 5.0  # seconds that the kernel may take to end killed processes
# Python starts one with the first child of `multiprocessing`. It ends by itself after its owner.
_TRACKER = b"from multiprocessing.resource_tracker import"
_STATE, _PARENT, _FLAGS, _THREADS = 0, 1, 6, 17  # indices into what `stat` returns
_EXITING = 0x4  # PF_EXITING, a flag of the kernel for a thread that has begun to end
_PAUSE = 0.01  # seconds between two checks of the tree

_LIBC = ctypes.CDLL(None)  # loaded before any fork


def become_subreaper() -> None:
    """Makes this process the parent of every orphan below it."""
    _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)


def signal_at_death_of_parent(number: signal.Signals) -> None:
    """Asks the kernel to send this process a signal when its parent ends."""
    _LIBC.prctl(PR_SET_PDEATHSIG, number)


def abort(pid: int) -> None:
    """Ends a process by SIGABRT, also if a signal has stopped it. Its handler may print a trace.

    The signal is for the process's main thread, which then does nothing else any more. Any thread
    could take a signal for the process, and meanwhile the main thread would go on with its work.

    Raises:
        ProcessLookupError: the process is gone.
    """
    _LIBC.tgkill(pid, pid, signal.SIGABRT)
    os.kill(pid, signal.SIGCONT)  # a stopped process handles no other signal


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat (proc(5)), from the third one, the state.

    Raises:
        OSError: the process is gone.
    """
    # pid (name) state parent ...; the name may contain spaces and brackets
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def descendants(root: int) -> list[int]:
    """Every process below `root`, except zombies.

    A process whose first thread has ended looks like a zombie. It counts while another thread runs.
    """
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # the process has just ended
            fields = stat(int(entry.name))
            if fields[_STATE] != "Z" or int(fields[_THREADS]) > 1:
                children.setdefault(int(fields[_PARENT]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def describe(pid: int) -> str:
    """A process in words: its shortened command line and its number."""
    with suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return f"{line[:80] or 'a process'} (pid {pid})"
    return f"a process (pid {pid})"


def ends_by_itself(pid: int) -> bool:
    """Whether nobody left this process behind: it is Python's own, is ending, or has ended.

    A process that is ending has no command line any more, so later checks could not recognise it.
    """
    try:
        if _TRACKER in Path(f"/proc/{pid}/cmdline").read_bytes():
            return True
        # This comes after the command line: if that could not be read, the flags say why.
        fields = stat(pid)
        return bool(int(fields[_FLAGS]) & _EXITING) and int(fields[_THREADS]) == 1
    except OSError:
        return True


def end_descendants() -> tuple[list[str], list[str]]:
    """Kills every process below this one and waits for them.

    Returns the descriptions of those that it ended, without those that end by themselves, and of
    those that did not end.
    """
    ended: dict[int, str] = {}
    clock = RunningTime()
    while True:
        reap()
        left = descendants(os.getpid())
        if not left or clock.seconds > DEADLINE:
            return [name for pid, name in ended.items() if pid not in left], [describe(pid) for pid in left]
        for pid in left:
            if pid not in ended and not ends_by_itself(pid):
                ended[pid] = describe(pid)
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE)  # no event says that the last of a changing set of processes has ended


def reap(child: int | None = None) -> int | None:
    """Collects the exit status of every child that has ended.

    Returns the wait status of `child` if it is among them.
    """
    status = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                status = ended[1]
    return status
