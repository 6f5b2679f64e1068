"""Keeps guardians running, whatever an environment sends them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from policyd_trainer.guardian.pulse import state

LOOK = 2.0  # seconds between two checks
_LOG = logging.getLogger(__name__)


async def keep_going(pid: int, name: str) -> None:
    """Continues a guardian whenever a signal has stopped it, until the guardian has ended.

    A stopped guardian would neither copy what its process writes nor report how it ends.
    """
    while True:
        await asyncio.sleep(LOOK)  # no event says that a process has been stopped
        try:
            if state(pid) == "T":
                _LOG.warning("%s: the environment stopped the guardian (SIGSTOP); it goes on", name)
                os.kill(pid, signal.SIGCONT)
        except OSError:
            return
