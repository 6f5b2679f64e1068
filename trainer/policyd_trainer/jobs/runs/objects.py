"""Runs in object storage.

    <job id>/checkpoint.pkl, worker.log, ...   as in a folder, and as new as the last upload
    <key>                                      what `name_once` keeps

The machine on which a run works uploads its files (`jobs/on_ray/mirror.py`).
"""

from __future__ import annotations

from policyd.repository.object_client import ObjectClient
from policyd.repository.object_url import child
from policyd_trainer.guardian.log import OLDER
from policyd_trainer.jobs.runs.interface import TAIL_BYTES, last_lines
from policyd_trainer.jobs.worker import LOG_FILE

PIECE = 2**20  # bytes read at once
_LONGEST_NAME = 1000  # bytes


class ObjectRuns:
    """One prefix of object storage per job. Thread-safe."""

    def __init__(self, client: ObjectClient) -> None:
        self._client = client

    def of(self, job_id: str) -> str:
        """See `Runs`."""
        return child(self._client.location, job_id)

    def job_ids(self) -> list[str]:
        """See `Runs`."""
        return sorted(
            {job_id for key, _ in self._client.entries("") if (job_id := key.partition("/")[0]) != key}
        )

    def has_log(self, job_id: str) -> bool:
        """See `Runs`."""
        return self._client.size(f"{job_id}/{LOG_FILE}") is not None

    def log(self, job_id: str) -> ObjectLogReader:
        """See `Runs`."""
        return ObjectLogReader(self._client, f"{job_id}/{LOG_FILE}")

    def log_tail(self, job_id: str) -> list[str]:
        """See `Runs`."""
        key = f"{job_id}/{LOG_FILE}"
        size = self._client.size(key) or 0
        return last_lines(self._client.part(key, max(0, size - TAIL_BYTES), size)) if size else []

    def keep_log(self, job_id: str) -> None:
        """See `Runs`."""
        self._remove(job_id, (LOG_FILE, LOG_FILE + OLDER))

    def remove(self, job_id: str) -> None:
        """See `Runs`."""
        self._remove(job_id, ())

    def name_once(self, key: str, name: str) -> str:
        """See `Runs`."""
        if self._client.create(key, name.encode()):
            return name
        found = self._client.get(key, _LONGEST_NAME)
        return name if found is None else found.content.decode()

    def _remove(self, job_id: str, kept: tuple[str, ...]) -> None:
        prefix = f"{job_id}/"
        for key, _ in list(self._client.entries(prefix)):
            if key.removeprefix(prefix) not in kept:
                self._client.delete(key)


class ObjectLogReader:
    """Reads an object that is replaced by a longer one, or by the start of the next file.

    An object shorter than what was read is a new file. The rest of the old one is in FILE.1.
    """

    def __init__(self, client: ObjectClient, key: str) -> None:
        self._client, self._key = client, key
        self._old: str | None = key + OLDER  # is read before `key`
        self._offset = 0  # in the object that is being read

    def next(self) -> bytes:
        """See `LogReader`."""
        if self._old is not None:
            if content := self._piece(self._old):
                return content
            self._old, self._offset = None, 0
        size = self._client.size(self._key) or 0
        if size < self._offset:
            self._old = self._key + OLDER
            return self.next()
        return self._piece(self._key, size)

    def close(self) -> None:
        """See `LogReader`. Does nothing."""

    def _piece(self, key: str, size: int | None = None) -> bytes:
        size = self._client.size(key) if size is None else size
        end = min(size or 0, self._offset + PIECE)
        if end <= self._offset:
            return b""
        content = self._client.part(key, self._offset, end)
        self._offset += len(content)
        return content
