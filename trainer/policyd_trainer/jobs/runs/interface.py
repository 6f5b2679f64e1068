"""What the trainer needs of the place in which runs keep their checkpoints and logs."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

LOG_TAIL = 20  # lines
TAIL_BYTES = 16_384


class LogReader(Protocol):
    """Reads one log from its beginning, while it grows and while a new file takes its place."""

    def next(self) -> bytes:
        """The next piece; empty: there is nothing more now. Unavailable."""

    def close(self) -> None:
        """Frees what it holds."""


class Runs(Protocol):
    """Folders of runs by job id. Every method raises Unavailable if the place cannot be reached."""

    def of(self, job_id: str) -> Path | str:
        """A run's folder, or its URL: what its command is told as `--run-dir`."""

    def job_ids(self) -> list[str]:
        """Jobs that have kept anything, and names of whatever else lies there."""

    def has_log(self, job_id: str) -> bool:
        """Whether there is a log."""

    def log(self, job_id: str) -> LogReader:
        """Opens the log, which need not exist yet."""

    def log_tail(self, job_id: str) -> list[str]:
        """The last lines of the log; none where there is no log."""

    def keep_log(self, job_id: str) -> None:
        """Removes everything of a run but its log. `Retention` removes the log some days later."""

    def remove(self, job_id: str) -> None:
        """Removes everything of a run."""

    def name_once(self, key: str, name: str) -> str:
        """The name that is kept under `key`: `name`, if there was none before."""


def last_lines(content: bytes) -> list[str]:
    """The last lines of a log's end."""
    return content.decode(errors="replace").splitlines()[-LOG_TAIL:]
