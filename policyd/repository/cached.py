"""A storage with a local copy, for servers: they go on, and start, while the store is away.

Files are kept by their SHA-256 and verified whenever they are read: a copy is never another
version's. What can change (the listing, alias states, descriptions) is always asked of the store,
and its last answer is used only while the store cannot be reached. Processes that share the folder
share one listing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from policyd.errors import CorruptArtifact, Unavailable
from policyd.repository import alias_format, traffic, versions
from policyd.repository.durable import locked
from policyd.repository.reading import read_file
from policyd.repository.records import METADATA
from policyd.repository.storage import Draft, Storage

LISTING_SECONDS = 0.95  # a listing by another process is used while it is younger than this
AWAY_SECONDS = 2.0  # after a failure, the store is not asked for this long
MAX_BYTES = 10 * 2**30  # of kept files; the least recently used ones are deleted

_LOG = logging.getLogger(__name__)


class CachedStorage:
    """Reads from local copies where that is safe, else from `inner`. Writes to `inner`.

    The copies are in `folder`.
    """

    def __init__(self, inner: Storage, folder: Path) -> None:
        self._inner = inner
        self._folder = folder
        self._away_until = 0.0  # time.monotonic()
        self._digests: dict[tuple[str, int], Mapping[str, str]] = {}
        self._recoveries = 0  # how often the store could be reached again
        self._listed: Mapping[str, Hashable] = {}  # the stamps of the last listing
        # by policy: a stamp, and whether the policy had versions at it
        self._numbered: dict[str, tuple[Hashable, bool]] = {}
        for name in ("files", "answers"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    @property
    def location(self) -> str:
        """The location of the storage that is cached."""
        return self._inner.location

    def policies(self) -> list[str]:
        """See Storage. Uses the last listing."""
        return sorted(self.stamps())

    def numbers(self, policy: str) -> list[int]:
        """See Storage."""
        return [int(n) for n in self._answer(f"numbers-{policy}", lambda: self._inner.numbers(policy))]

    def has_versions(self, policy: str) -> bool:
        """See Storage. Asks the store only if the policy's stamp has changed."""
        stamp = self._listed.get(policy)
        if policy not in self._numbered or self._numbered[policy][0] != stamp:
            self._numbered[policy] = (stamp, bool(self.numbers(policy)))
        return self._numbered[policy][1]

    def unfinished(self, policy: str) -> Mapping[int, str]:
        """See Storage."""
        found = self._answer(f"unfinished-{policy}", lambda: dict(self._inner.unfinished(policy)))
        return {int(number): why for number, why in found.items()}

    def names(self, policy: str, version: int) -> list[str]:
        """See Storage."""
        key = f"names-{policy}-{version}"
        return [str(name) for name in self._answer(key, lambda: self._inner.names(policy, version))]

    def read(self, policy: str, version: int, name: str, limit: int) -> bytes | None:
        """See Storage."""
        if name == METADATA:
            return self._description(policy, version, limit)
        digest = self._digests.get((policy, version), {}).get(name)
        if digest is None:
            return self._inner.read(policy, version, name, limit)
        if (kept := self._kept(digest, limit)) is not None:
            return kept
        content = self._inner.read(policy, version, name, limit)
        if content is not None and hashlib.sha256(content).hexdigest() == digest:
            self._keep(digest, content)
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
        return self._bytes(
            f"aliases-{policy}", lambda: self._inner.read_aliases(policy), alias_format.MAX_BYTES
        )

    def update_aliases(self, policy: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """See Storage."""
        self._inner.update_aliases(policy, change)

    def read_traffic(self, policy: str) -> bytes | None:
        """See Storage."""
        return self._bytes(f"traffic-{policy}", lambda: self._inner.read_traffic(policy), traffic.MAX_BYTES)

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
            if _is_new(self._folder / "answers" / "stamps.json"):
                self._listed = self._as_stamps(self._saved("stamps"))
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
        content = self._bytes(
            f"description-{policy}-{version}",
            lambda: self._inner.read(policy, version, METADATA, limit),
            limit,
        )
        self._digests.pop((policy, version), None)
        if content is not None:
            with suppress(CorruptArtifact):
                self._digests[policy, version] = versions.decode(policy, version, content).files
        return content

    def _bytes(self, key: str, read: Callable[[], bytes | None], limit: int) -> bytes | None:
        """Returns the store's answer, or the last saved one while the store is away.

        The answer may be None, which means that the store has no such object.
        """
        path = self._folder / "answers" / key
        try:
            content = self._from_store(read)
        except Unavailable:
            saved = read_file(path, limit)
            if saved is None:
                raise
            return saved
        if content is None:
            path.unlink(missing_ok=True)
        elif not path.exists() or read_file(path, limit) != content:
            _write(path, content)
        return content

    def _answer(self, key: str, read: Callable[[], Any]) -> Any:
        content = self._bytes(f"{key}.json", lambda: json.dumps(read()).encode(), versions.MAX_FILE_BYTES)
        return json.loads(content or b"null")

    def _as_stamps(self, answer: Any) -> Mapping[str, Hashable]:
        """Converts saved stamps back. JSON has lists instead of tuples."""
        return {name: (self._recoveries, *map(tuple, stamp)) for name, stamp in (answer or {}).items()}

    def _list(self) -> None:
        """Asks the store for the stamps. The caller holds the lock."""
        self._listed = self._as_stamps(self._answer("stamps", self._inner.stamps))
        if (path := self._folder / "answers" / "stamps.json").exists():
            os.utime(path)

    def _saved(self, key: str) -> Any:
        return json.loads((self._folder / "answers" / f"{key}.json").read_bytes())

    def _from_store(self, read: Callable[[], bytes | None]) -> bytes | None:
        if time.monotonic() < self._away_until:
            raise Unavailable(f"{self.location} cannot be reached", reason="STORE_UNAVAILABLE")
        try:
            content = read()
        except Unavailable as error:
            if not self._away_until:
                _LOG.error("%s; serving from %s", error.message, self._folder)
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise
        if self._away_until:
            _LOG.info("%s can be reached again", self.location)
            self._away_until = 0.0
            self._recoveries += 1
        return content

    def _kept(self, digest: str, limit: int) -> bytes | None:
        """Returns the verified bytes of a kept file. None: it is not kept, or it was damaged.

        A damaged file is deleted.
        """
        path = self._folder / "files" / digest
        try:
            content = read_file(path, limit)
        except CorruptArtifact:
            content = b""
        if content is None:
            return None
        if hashlib.sha256(content).hexdigest() != digest:
            _LOG.warning("%s is damaged and is read from the store again", path)
            path.unlink(missing_ok=True)
            return None
        os.utime(path)
        return content

    def _keep(self, digest: str, content: bytes) -> None:
        files = self._folder / "files"
        try:
            _write(files / digest, content)
            self._make_room(files)
        except OSError as error:  # the disk is full: the file is served without being kept
            _LOG.warning("%s cannot be written: %s", files, error.strerror)

    @staticmethod
    def _make_room(files: Path) -> None:
        found = sorted(((path.stat().st_mtime, path) for path in files.iterdir()), reverse=True)
        used = 0
        for _, path in found:
            used += path.stat().st_size
            if used > MAX_BYTES:
                path.unlink(missing_ok=True)


def _is_new(path: Path) -> bool:
    """Whether a file was written within the last LISTING_SECONDS."""
    with suppress(FileNotFoundError):
        return 0 <= time.time() - path.stat().st_mtime < LISTING_SECONDS
    return False


def _write(path: Path, content: bytes) -> None:
    """Writes a file as a whole, so that no process that shares the folder sees a part of it."""
    descriptor, scratch = tempfile.mkstemp(dir=path.parent.parent, prefix=".new-")
    with open(descriptor, "wb") as file:  # noqa: PTH123 -- it is a descriptor, which has no path
        file.write(content)
    Path(scratch).rename(path)
