"""Repeats the last progress of a run while there is nothing new to report."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from policyd_trainer.runs.reporting import SILENCE, Clock


@contextmanager
def beating(clock: Clock) -> Iterator[None]:
    """While entered, a thread repeats the last report after each second without a report."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(SILENCE / 2):
            clock.repeat()

    thread = threading.Thread(target=beat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
