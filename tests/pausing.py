"""How tests pause processes, as a container's freezer or a closed laptop does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from tests.waiting import until


def paused(pids: Iterable[int], seconds: float) -> None:
    """Stops the processes for so long, and lets them go on."""
    stopped = list(pids)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: all(_state(pid) == "T" for pid in stopped))
    time.sleep(seconds)  # the pause itself
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
