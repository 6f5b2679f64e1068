"""Waits for children of `multiprocessing` while this process runs."""

from __future__ import annotations

from multiprocessing.process import BaseProcess

from policyd.runtime.running_time import waits


def join(process: BaseProcess, seconds: float) -> None:
    """Waits for the end of the process, for at most so many seconds in which this one ran."""
    for left in waits(seconds):
        process.join(left)
        if process.exitcode is not None:
            return
