"""Runs in a folder: of this machine, or one that all machines share."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from policyd.repository.durable import replace_file
from policyd_trainer.guardian.log import OLDER
from policyd_trainer.jobs.runs.interface import TAIL_BYTES, last_lines
from policyd_trainer.jobs.worker import LOG_FILE

PIECE = 65_536  # bytes read at once


class FolderRuns:
    """One folder per job."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def of(self, job_id: str) -> Path:
        """See `Runs`."""
        return self._root / job_id

    def job_ids(self) -> list[str]:
        """See `Runs`."""
        return [entry.name for entry in self._root.iterdir() if entry.is_dir()] if self._root.is_dir() else []

    def has_log(self, job_id: str) -> bool:
        """See `Runs`."""
        return (self._root / job_id / LOG_FILE).exists()

    def log(self, job_id: str) -> FolderLogReader:
        """See `Runs`."""
        return FolderLogReader(self._root / job_id / LOG_FILE)

    def log_tail(self, job_id: str) -> list[str]:
        """See `Runs`."""
        log = self._root / job_id / LOG_FILE
        with suppress(FileNotFoundError), log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return last_lines(file.read())
        return []

    def keep_log(self, job_id: str) -> None:
        """See `Runs`."""
        run_dir = self._root / job_id
        if not run_dir.is_dir():
            return
        for entry in run_dir.iterdir():
            if entry.name in (LOG_FILE, LOG_FILE + OLDER):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                with suppress(OSError):
                    entry.unlink()
        with suppress(OSError):
            run_dir.rmdir()  # there was no log

    def remove(self, job_id: str) -> None:
        """See `Runs`. Raises OSError if that fails. Another task may remove parts meanwhile."""
        run_dir = self._root / job_id
        while run_dir.exists():
            with suppress(FileNotFoundError):
                shutil.rmtree(run_dir)

    def name_once(self, key: str, name: str) -> str:
        """See `Runs`."""
        file = self._root / key
        if not file.exists():
            self._root.mkdir(parents=True, exist_ok=True)
            replace_file(file, name.encode())
        return file.read_text()


class FolderLogReader:
    """Reads a file that grows, and that a new file may replace."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._older = path.with_name(path.name + OLDER)

    def next(self) -> bytes:
        """See `LogReader`."""
        if self._descriptor is None and not self._open():
            return b""
        assert self._descriptor is not None
        content = os.read(self._descriptor, PIECE)
        if not content and self._is_replaced():
            self.close()
            return self.next()
        return content

    def close(self) -> None:
        """See `LogReader`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> bool:
        first, self._older = self._older, self._path  # the older part is read once, before the file
        for path in dict.fromkeys((first, self._path)):
            with suppress(FileNotFoundError):
                self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                return True
        return False

    def _is_replaced(self) -> bool:
        assert self._descriptor is not None
        with suppress(FileNotFoundError):
            return os.fstat(self._descriptor).st_ino != self._path.stat().st_ino
        return False
