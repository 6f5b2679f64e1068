"""A storage with a local copy, for servers: they go on, and start, while the store is away.

Files are kept by their SHA-256 and verified whenever they are read. What can change (the listing,
alias states, descriptions) is always asked of the store, and its last answer is used only while the
store cannot be reached. Processes that share the folder share one listing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from policyd.errors import CorruptArtifact, Unavailable
from policyd.repository import alias_format, traffic, versions
from policyd.repository.durable import locked
from policyd.repository.kept_files import KeptFiles, has_digest
from policyd.repository.last_answers import LastAnswers
from policyd.repository.records import METADATA
from policyd.repository.storage import Draft, Storage

LISTING_SECONDS = 0.95  # a listing by another process is used while it is younger than this


class CachedStorage:
    """Reads from local copies where that is safe, else from `inner`. Writes to `inner`.

    The copies are in `folder`.
    """

    def __init__(self, inner: Storage, folder: Path) -> None:
        self._inner = inner
        self._folder = folder
        self._files = KeptFiles(folder / "files")
        self._answers = LastAnswers(inner.location, folder / "answers")
        self._digests: dict[tuple[str, int], Mapping[str, str]] = {}
        self._listed: Mapping[str, Hashable] = {}  # the stamps of the last listing
        # by policy: a stamp, and whether the policy had versions at it
        self._numbered: dict[str, tuple[Hashable, bool]] = {}

    @property
    def location(self) -> str:
        """The location of the storage that is cached."""
        return self._inner.location

    def policies(self) -> list[str]:
        """See Storage. Uses the last listing."""
        return sorted(self.stamps())

    def numbers(self, policy: str) -> list[int]:
        """See Storage."""
        found = self._answers.json_of(f"numbers-{policy}", lambda: self._inner.numbers(policy))
        return [int(number) for number in found]

    def has_versions(self, policy: str) -> bool:
        """See Storage. Asks the store only if the policy's stamp has changed."""
        stamp = self._listed.get(policy)
        if policy not in self._numbered or self._numbered[policy][0] != stamp:
            self._numbered[policy] = (stamp, bool(self.numbers(policy)))
        return self._numbered[policy][1]

    def unfinished(self, policy: str) -> Mapping[int, str]:
        """See Storage."""
        found = self._answers.json_of(f"unfinished-{policy}", lambda: dict(self._inner.unfinished(policy)))
        return {int(number): why for number, why in found.items()}

    def names(self, policy: str, version: int) -> list[str]:
        """See Storage."""
        key = f"names-{policy}-{version}"
        return [str(name) for name in self._answers.json_of(key, lambda: self._inner.names(policy, version))]

    def read(self, policy: str, version: int, name: str, limit: int) -> bytes | None:
        """See Storage."""
        if name == METADATA:
            return self._description(policy, version, limit)
        digest = self._digests.get((policy, version), {}).get(name)
        if digest is None:
            return self._inner.read(policy, version, name, limit)
        if (kept := self._files.read(digest, limit)) is not None:
            return kept
        content = self._inner.read(policy, version, name, limit)
        if content is not None and has_digest(content, digest):
            self._files.keep(digest, content)
        return content

    def find_job(self, policy: str, job_id: str) -> int | None:
        """See Storage."""
        return self._inner.find_job(policy, job_id)

    def publish(self, policy: str, draft: Draft) -> int:
        """See Storage."""
        return self._inner.publish(policy, draft)

    def restore(self, policy: str, version: int, files: Mapping[str, bytes], config: bytes) -> bool:
        """See Storage."""
        return self._inner.restore(policy, version, files, config)

    def add(self, policy: str, version: int, name: str, content: bytes, *, replace: bool = False) -> bool:
        """See Storage."""
        return self._inner.add(policy, version, name, content, replace=replace)

    def remove(self, policy: str, version: int) -> bool:
        """See Storage. The kept files are deleted later, when room is needed."""
        return self._inner.remove(policy, version)

    def read_aliases(self, policy: str) -> bytes | None:
        """See Storage."""
        return self._answers.bytes_of(
            f"aliases-{policy}", lambda: self._inner.read_aliases(policy), alias_format.MAX_BYTES
        )

    def update_aliases(self, policy: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """See Storage."""
        self._inner.update_aliases(policy, change)

    def read_traffic(self, policy: str) -> bytes | None:
        """See Storage."""
        return self._answers.bytes_of(
            f"traffic-{policy}", lambda: self._inner.read_traffic(policy), traffic.MAX_BYTES
        )

    def update_traffic(self, policy: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """See Storage."""
        self._inner.update_traffic(policy, change)

    def stamps(self) -> Mapping[str, Hashable]:
        """See Storage.

        The processes that share the folder make at most one listing per LISTING_SECONDS. When the
        store can be reached again after a failure, all stamps change, because something may have
        been read in between that is older than the listing.
        """
        with locked(self._folder / "listing.lock"):
            if _is_new(path := self._answers.saved_at("stamps")):
                self._listed = self._as_stamps(json.loads(path.read_bytes()))
            else:
                self._list()
        return self._listed

    def look_again(self) -> bool:
        """See Storage. The processes that share the folder list once per LISTING_SECONDS."""
        mark = self._folder / "looked-again"
        with locked(self._folder / "listing.lock"):
            if _is_new(mark):
                return False
            mark.touch()
            self._list()
        return True

    def folders(self) -> list[Path]:
        """See Storage."""
        return []

    def absence(self) -> str | None:
        """See Storage."""
        with suppress(Unavailable):
            return self._inner.absence()
        return f"the repository {self.location} cannot be reached, and nothing of it was ever read here"

    def prepare(self) -> None:
        """See Storage."""
        self._inner.prepare()

    def sweep(self) -> int:
        """See Storage."""
        return self._inner.sweep()

    def _description(self, policy: str, version: int, limit: int) -> bytes | None:
        content = self._answers.bytes_of(
            f"description-{policy}-{version}",
            lambda: self._inner.read(policy, version, METADATA, limit),
            limit,
        )
        self._digests.pop((policy, version), None)
        if content is not None:
            with suppress(CorruptArtifact):
                self._digests[policy, version] = versions.decode(policy, version, content).files
        return content

    def _as_stamps(self, answer: Any) -> Mapping[str, Hashable]:
        """Converts saved stamps back. JSON has lists instead of tuples."""
        recoveries = self._answers.recoveries
        return {name: (recoveries, *map(tuple, stamp)) for name, stamp in (answer or {}).items()}

    def _list(self) -> None:
        """Asks the store for the stamps. The caller holds the lock."""
        self._listed = self._as_stamps(self._answers.json_of("stamps", self._inner.stamps))
        if (path := self._answers.saved_at("stamps")).exists():
            os.utime(path)


def _is_new(path: Path) -> bool:
    """Whether a file was written within the last LISTING_SECONDS."""
    with suppress(FileNotFoundError):
        return 0 <= time.time() - path.stat().st_mtime < LISTING_SECONDS
    return False
