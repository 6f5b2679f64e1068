"""A log file of bounded size: the newest part is kept."""

from __future__ import annotations

import os
from pathlib import Path

LARGEST = 8 * 2**20  # most bytes of a log file; one older file of this size is kept
OLDER = ".1"  # suffix of the older file


class BoundedLog:
    """Appends to a file of limited size.

    When it is full it is renamed to FILE.1, which replaces an older one, and a new file begins.
    """

    def __init__(self, path: Path, largest: int = LARGEST) -> None:
        self._path, self._largest = path, largest
        self._open()

    def write(self, content: bytes) -> None:
        """Appends. A full disk loses the content, not the run."""
        try:
            while len(content) > (room := self._largest - self._size):
                self._append(content[:room])
                content = content[room:]
                self._rotate()
            self._append(content)
        except OSError:
            return

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _append(self, content: bytes) -> None:
        self._size += os.write(self._descriptor, content)

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        full = self._descriptor  # stays open if the file cannot be renamed
        self._path.replace(self._path.with_name(self._path.name + OLDER))
        self._open()
        os.close(full)
