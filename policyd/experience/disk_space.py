"""Whether the disk has room for experience, and the error that clients get while it has none."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from policyd.errors import Exhausted

#: Seconds until a full disk is tried again. Clients are told to wait as long.
FULL_SECONDS, RETRY_AFTER = 1.0, 5.0


class DiskSpace:
    """The room on the disk of the folder `root`. `has_room` tries to write there."""

    def __init__(self, root: Path, has_room: Callable[[], bool]) -> None:
        self._root = root
        self._has_room = has_room
        self._full_until = 0.0  # time.monotonic(); 0: the disk has room

    def is_full(self) -> bool:
        """Whether the disk was full when it was last tried; tries again every FULL_SECONDS."""
        if not self._full_until:
            return False
        if time.monotonic() < self._full_until:
            return True
        self._full_until = 0.0 if self._has_room() else time.monotonic() + FULL_SECONDS
        return bool(self._full_until)

    def note_full(self) -> None:
        """Called when something could not be written."""
        self._full_until = time.monotonic() + FULL_SECONDS

    def error(self, problem: str) -> Exhausted:
        """Returns the error for something that cannot be recorded."""
        message = f"the experience of {self._root} cannot be written: {problem}"
        return Exhausted(message, reason="DISK_FULL", retry_after=RETRY_AFTER)
