"""Keeps guardians running, whatever an environment sends them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from policyd_trainer.guardian.pulse import state

LOOK = 2.0  # seconds between two looks
_LOG = logging.getLogger(__name__)


async def keep_going(pid: int, name: str) -> None:
    """Continues a guardian that a signal has stopped, until it has ended.

    A stopped one would neither take over what its process writes nor tell how that ends.
    """
    while True:
        await asyncio.sleep(LOOK)  # no event tells that a process has been stopped
        try:
            if state(pid) == "T":
                _LOG.warning("%s: the environment stopped the guardian (SIGSTOP); it goes on", name)
                os.kill(pid, signal.SIGCONT)
        except OSError:
            return
