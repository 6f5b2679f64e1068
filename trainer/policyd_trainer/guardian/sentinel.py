"""`python -P -m policyd_trainer.guardian.sentinel PARENT_PID DESCRIPTOR`.

Ends its parent when that stands still. It is for a process whose owner cannot look at it, because
the owner is on another machine: an actor of a Ray cluster. The parent's end is all that the owner
sees. The parent's standard error says why.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from policyd_trainer.guardian import tree
from policyd_trainer.guardian.board import BOARD, shared_memory
from policyd_trainer.guardian.pulse import Pulse, standstill
from policyd_trainer.guardian.watch import TRACE, during

_LOOK = 0.5  # seconds between two checks


def start() -> None:
    """Starts a sentinel for this process. The sentinel ends with this process.

    From now on this process writes its board to memory that both share. A `Watchdog`, while
    entered, counts there.
    """
    memory = shared_memory()
    BOARD.attach(memory)
    command = [sys.executable, "-P", "-m", "policyd_trainer.guardian.sentinel", str(os.getpid()), str(memory)]
    nothing = subprocess.DEVNULL
    subprocess.Popen(command, pass_fds=[memory], stdin=nothing, stdout=nothing)
    os.close(memory)


def watch(parent: int) -> None:
    """Returns when the parent has ended by itself or was ended by this sentinel."""
    tree.signal_at_death_of_parent(signal.SIGKILL)
    pulse = Pulse(BOARD.bytes, parent)
    while os.getppid() == parent:
        time.sleep(_LOOK)  # no event says that a process does not run
        if pulse.is_lost():
            _end(parent)
            return


def _end(parent: int) -> None:
    """Ends the parent.

    First, faulthandler prints the parent's stack, if the parent enabled it.
    """
    sys.stderr.write(f"policyd: a rollout worker {standstill(parent)}{during(BOARD.call)}\n")
    sys.stderr.flush()
    tree.abort(parent)
    time.sleep(TRACE)
    if os.getppid() == parent:
        os.kill(parent, signal.SIGKILL)


if __name__ == "__main__":
    BOARD.attach(int(sys.argv[2]))
    watch(int(sys.argv[1]))
