"""A store's last answers, saved locally, and used only while the store cannot be reached."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policyd.errors import Unavailable
from policyd.repository import versions
from policyd.repository.kept_files import write_whole
from policyd.repository.reading import read_file
from policyd.runtime.log_limit import LogLimit, and_others

AWAY_SECONDS = 2.0  # after a failure, the store is not asked for this long

_LOG = logging.getLogger(__name__)


class LastAnswers:
    """Asks the store at `location`. Saves its answers in `folder`, which processes may share."""

    def __init__(self, location: str, folder: Path) -> None:
        self._location = location
        self._folder = folder
        self._away_until = 0.0  # time.monotonic()
        self._unsaved = LogLimit(1, 60.0)  # of the lines about a disk that is full
        self.recoveries = 0  # how often the store could be reached again
        folder.mkdir(parents=True, exist_ok=True)

    def bytes_of(self, key: str, read: Callable[[], bytes | None], limit: int) -> bytes | None:
        """Returns the store's answer, or the last saved one while the store is away.

        The answer may be None, which means that the store has no such object.
        """
        path = self._folder / key
        try:
            content = self._from_store(read)
        except Unavailable:
            saved = read_file(path, limit)
            if saved is None:
                raise
            return saved
        try:
            _save(path, content, limit)
        except OSError as error:  # the disk is full: the store's answer is right without it
            if (left_out := self._unsaved.passes("")) is not None:
                told = and_others(left_out)
                _LOG.warning("%s cannot be written: %s%s", self._folder, error.strerror, told)
            path.unlink(missing_ok=True)  # it must not answer with something older later
        return content

    def json_of(self, key: str, read: Callable[[], Any]) -> Any:
        """As `bytes_of`, for an answer that JSON can hold. It has lists instead of tuples."""
        content = self.bytes_of(f"{key}.json", lambda: json.dumps(read()).encode(), versions.MAX_FILE_BYTES)
        return json.loads(content or b"null")

    def saved_at(self, key: str) -> Path:
        """The file of the last answer of `json_of`, which any of the processes may have saved."""
        return self._folder / f"{key}.json"

    def _from_store(self, read: Callable[[], bytes | None]) -> bytes | None:
        if time.monotonic() < self._away_until:
            raise Unavailable(f"{self._location} cannot be reached", reason="STORE_UNAVAILABLE")
        try:
            content = read()
        except Unavailable as error:
            if not self._away_until:
                _LOG.error("%s; serving from %s", error.message, self._folder.parent)
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise
        if self._away_until:
            _LOG.info("%s can be reached again", self._location)
            self._away_until = 0.0
            self.recoveries += 1
        return content


def _save(path: Path, content: bytes | None, limit: int) -> None:
    """Saves an answer if it is another one than before. OSError: the disk is full."""
    if content is None:
        path.unlink(missing_ok=True)
    elif not path.exists() or read_file(path, limit) != content:
        write_whole(path, content)
