"""`python still.py WAY CALL`: a run under a guardian, whose process stands still in a call."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from policyd_trainer.environments.calls import FIRST_RESET, IMPORT, RESET, STEP
from policyd_trainer.environments.watchdog import Watchdog
from policyd_trainer.guardian import pulse
from policyd_trainer.guardian.board import BOARD
from policyd_trainer.guardian.watch import guarded
from policyd_trainer.runs.ending import trace_crashes

WAYS: dict[str, Callable[[], Any]] = {
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "lock": lambda: ctypes.PyDLL(None).sleep(600),
    "exec": lambda: os.execv("/bin/sleep", ["sleep", "600"]),
}
CALLS = {call.name: call for call in (IMPORT, FIRST_RESET, RESET, STEP)}


def work() -> None:
    """The work of the run."""
    BOARD.begin(as_json=True)
    trace_crashes()
    with Watchdog(1.0, "env"), CALLS[sys.argv[2]]:
        WAYS[sys.argv[1]]()


if __name__ == "__main__":
    pulse.MARGIN = 1.0
    pulse.PATIENCE = dict.fromkeys(pulse.PATIENCE, math.inf)  # a process with unlimited time is never lost
    sys.exit(guarded(work))
