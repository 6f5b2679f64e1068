"""A bound on how often the same thing is logged, so that no client can fill the log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

MAX_KEYS = 1024  # at most this many keys are remembered; the oldest is forgotten first


class LogLimit:
    """Lets the first `burst` lines of a key pass in each window of `seconds`; counts the others."""

    def __init__(self, burst: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._seconds = seconds
        self._clock = clock
        self._windows: dict[Hashable, _Window] = {}
        self._lock = threading.Lock()

    def passes(self, key: Hashable) -> int | None:
        """Returns how many lines were left out since the last one that passed.

        None: leave this line out as well.
        """
        with self._lock:
            now = self._clock()
            window = self._windows.get(key)
            if window is None:
                if len(self._windows) == MAX_KEYS:
                    del self._windows[next(iter(self._windows))]
                window = self._windows[key] = _Window(now)
            elif now - window.begin >= self._seconds:
                window.begin, window.passed = now, 0
            if window.passed == self._burst:
                window.left_out += 1
                return None
            window.passed += 1
            left_out, window.left_out = window.left_out, 0
            return left_out


class _Window:
    """The number of lines of one key since `begin`."""

    __slots__ = ("begin", "left_out", "passed")

    def __init__(self, begin: float) -> None:
        self.begin = begin
        self.passed = 0
        self.left_out = 0


def and_others(left_out: int) -> str:
    """Returns the end of a log line: how many equal ones were left out."""
    return f" (and {left_out} more like it since the last such line)" if left_out else ""
