"""Whether a process that calls an environment still runs, as its owner sees it from outside.

The process's watchdog (`environments.watchdog`) counts on the board that both share. A process
whose threads all stand still counts no more: a signal has stopped it, C code keeps Python's lock,
or it has become another program. Nothing inside of it can notice that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from ctypes import Array, c_ubyte
from pathlib import Path

from policyd_trainer.guardian.board import call_in, counted, limit_of
from policyd_trainer.guardian.starvation import OwnTime
from policyd_trainer.guardian.tree import stat

# The running call may take so many times `step_timeout` before the watchdog interrupts it; all
# other calls once. A module may take minutes to import, and a constructor or a first reset may
# start a simulator.
PATIENCE: Mapping[str, float] = {"import": math.inf, "constructor": 10.0, "first reset": 10.0, "": 10.0}
MARGIN = 10.0  # extra seconds, for a busy machine


class Pulse:
    """Checks one board again and again."""

    def __init__(self, board: memoryview | Array[c_ubyte], pid: int) -> None:
        """`pid` is the process that counts on the board."""
        self._board, self._pid = board, pid
        self._count = counted(board)
        self._silent = 0.0  # seconds since the count changed in which the process could have run
        self._time = OwnTime(pid)

    def is_lost(self) -> bool:
        """Whether the process has not counted for so long that it will not go on.

        False if nothing counts: no watchdog has begun, or it has ended.
        """
        passed, count = self._time.look(), counted(self._board)
        self._silent = self._silent + passed if count == self._count else 0.0
        self._count = count
        limit = limit_of(self._board)
        if not limit:
            return False
        # A watchdog itself ends the process, `step_timeout` after it has interrupted the call.
        return self._silent > limit * (self._patience() + 1) + MARGIN

    def _patience(self) -> float:
        """How many times `step_timeout` the running call may take.

        It is 1 for a process that a signal has stopped, because no call needs that.
        """
        return 1.0 if is_stopped(self._pid) else PATIENCE.get(call_in(self._board), 1.0)


def standstill(pid: int) -> str:
    """Why a process does not run, as a phrase that follows a subject."""
    if is_stopped(pid):
        return "was stopped by a signal (SIGSTOP)"
    with suppress(OSError):
        program = Path(f"/proc/{pid}/exe").readlink()
        if program != Path("/proc/self/exe").readlink():
            return f"has become another program ({program})"
    return "stood still (C code that keeps Python's lock?)"


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped the process. A process that is gone is not stopped."""
    try:
        return state(pid) == "T"
    except OSError:
        return False


def state(pid: int) -> str:
    """The letter of a process's state, see proc(5). T means that a signal has stopped it.

    Raises:
        OSError: the process is gone.
    """
    return stat(pid)[0]
