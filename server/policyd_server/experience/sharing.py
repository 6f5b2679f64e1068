"""Keeps object storage up to date with what the recorder has sealed, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from policyd.errors import PolicydError
from policyd.experience.shared import Outgoing
from policyd.repository.object_url import open_objects

SECONDS = 1.0  # between two looks at the disk
TOLD_SECONDS = 60.0  # between two log lines about a store that is away
CLOSE_SECONDS = 10.0  # at the end, for copying what was sealed last
_LOG = logging.getLogger(__name__)


class Sharing:
    """Copies one folder of experience into the repository's store, until it is closed."""

    def __init__(self, root: Path, repository: str) -> None:
        self._outgoing = Outgoing(root, open_objects(repository))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sharing", daemon=True)
        self._untold = 0.0  # seconds since the last log line about a store that is away

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Copies what was sealed last and ends, after CLOSE_SECONDS at the latest."""
        self._ending.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._ending.wait(SECONDS):
            self._exchange()
        self._exchange()

    def _exchange(self) -> None:
        try:
            self._outgoing.exchange()
            self._untold = 0.0
        except Exception as error:  # noqa: BLE001 -- the next round tries again: nobody else copies
            if not self._untold % TOLD_SECONDS:
                trace = None if isinstance(error, PolicydError | OSError) else error
                _LOG.error("experience is not in object storage yet: %s", error, exc_info=trace)
            self._untold += SECONDS
