"""What the trainer needs of the place in which runs keep their checkpoints and logs."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

LOG_TAIL = 20  # lines
TAIL_BYTES = 16_384


class LogReader(Protocol):
    """Reads one log from its beginning, while it grows and also after a new file replaces it."""

    def next(self) -> bytes:
        """The next piece; empty if there is nothing more now. Raises Unavailable."""

    def close(self) -> None:
        """Frees what it holds."""


class Runs(Protocol):
    """Where runs keep their files, by job id. Every method may raise Unavailable."""

    def of(self, job_id: str) -> Path | str:
        """A run's folder or its URL, which its command gets as `--run-dir`."""

    def job_ids(self) -> list[str]:
        """The jobs that have kept anything, and the names of anything else there."""

    def has_log(self, job_id: str) -> bool:
        """Whether there is a log."""

    def log(self, job_id: str) -> LogReader:
        """Opens the log, which may not exist yet."""

    def log_tail(self, job_id: str) -> list[str]:
        """The last lines of the log; empty if there is no log."""

    def keep_log(self, job_id: str) -> None:
        """Removes everything of a run except its log. `Retention` removes the log days later."""

    def remove(self, job_id: str) -> None:
        """Removes everything of a run."""

    def name_once(self, key: str, name: str) -> str:
        """Stores `name` under `key` if that has none. Returns the name stored under `key`."""


def last_lines(content: bytes) -> list[str]:
    """The last lines of the end of a log."""
    return content.decode(errors="replace").splitlines()[-LOG_TAIL:]
