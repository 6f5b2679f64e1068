"""Tells watchers that a job changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Changes:
    """One event per watcher of a job. Used in one event loop."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self.closed = False

    @contextmanager
    def watch(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that each later change of the job sets, and the end of everything too."""
        event = asyncio.Event()
        self._watchers[job_id].add(event)
        try:
            yield event
        finally:
            self._watchers[job_id].discard(event)
            if not self._watchers[job_id]:
                del self._watchers[job_id]

    def tell(self, job_id: str) -> None:
        """The job changed."""
        for event in self._watchers.get(job_id, ()):
            event.set()

    def close(self) -> None:
        """Nothing changes any more: wakes all watchers, who see `closed`."""
        self.closed = True
        for job_id in list(self._watchers):
            self.tell(job_id)
