"""`python paused.py`: a run under a guardian, with a step that goes on until it reads a line.

The step ends when the watchdog has looked at it twice more.
"""

from __future__ import annotations

import sys
import time

from policyd_trainer.environments.calls import STEP
from policyd_trainer.environments.watchdog import Watchdog
from policyd_trainer.guardian import pulse
from policyd_trainer.guardian.board import BOARD, counted
from policyd_trainer.guardian.watch import guarded

LIMIT = 4.0  # seconds of a step


def work() -> None:
    """The work of the run."""
    BOARD.begin(as_json=True)
    with Watchdog(LIMIT, "env"), STEP:
        print("begun", flush=True)  # noqa: T201  for the test
        sys.stdin.readline()
        looked = counted(BOARD.bytes)
        while (counted(BOARD.bytes) - looked) % 256 < 2:
            time.sleep(0.01)
    print("ended", flush=True)  # noqa: T201
    BOARD.report(0)


if __name__ == "__main__":
    pulse.MARGIN = 1.0
    sys.exit(guarded(work))
