"""`python watched.py`: a process with a sentinel, which a signal stops in its first reset."""

from __future__ import annotations

import faulthandler
import os
import signal

from policyd_trainer.environments.calls import FIRST_RESET
from policyd_trainer.environments.watchdog import Watchdog
from policyd_trainer.guardian import sentinel

if __name__ == "__main__":
    faulthandler.enable()
    sentinel.start()
    with Watchdog(1.0, "env"), FIRST_RESET:
        os.kill(os.getpid(), signal.SIGSTOP)
