"""How long a thread waited for a core; that it grows is shown by the watchdog's own test."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from policyd_trainer.guardian.starvation import starved_seconds


def test_it_never_decreases() -> None:
    """Neither a process's first thread nor another one gets back what it has waited."""
    thread = threading.get_native_id()
    before = starved_seconds(os.getpid()), starved_seconds(os.getpid(), thread)
    sum(range(10_000))
    after = starved_seconds(os.getpid()), starved_seconds(os.getpid(), thread)
    assert all(0 <= first <= second for first, second in zip(before, after, strict=True))


def test_a_process_that_is_gone_has_not_waited() -> None:
    """There is nothing to read of it, which is no error."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert starved_seconds(process.pid) == 0.0
