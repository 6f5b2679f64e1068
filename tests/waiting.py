"""How tests wait for what other processes do, of which no event comes here."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 90.0  # seconds; shared machines have stood still for 50


def until(holds: Callable[[], object], said: Callable[[], object] = lambda: "") -> None:
    """Returns as soon as `holds` does. Fails after PATIENCE with what `said` returns then."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, said()
        time.sleep(0.02)
