"""A sentinel ends its parent when that stands still, and ends with its parent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WATCHED = Path(__file__).with_name("watched.py")


@pytest.mark.long
def test_a_process_that_a_signal_stops_is_ended() -> None:
    """The process's standard error has the reason, the call and the place.

    The sentinel has ended, too. `run` waits for both, because they share standard error.
    """
    done = subprocess.run(
        [sys.executable, str(WATCHED)], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode < 0
    assert "was stopped by a signal (SIGSTOP) in a call of the environment: first reset" in done.stderr
    assert "watched.py" in done.stderr
