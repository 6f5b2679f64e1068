"""Local copies of a store's files, each named by its SHA-256 and verified whenever it is read.

So a copy is never another version's.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path

from policyd.errors import CorruptArtifact
from policyd.repository.reading import read_file

MAX_BYTES = 10 * 2**30  # of kept files; the least recently used ones are deleted

_LOG = logging.getLogger(__name__)


class KeptFiles:
    """The copies in `folder`, which processes may share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, digest: str, limit: int) -> bytes | None:
        """Returns the verified bytes of a kept file. None: it is not kept, or it was damaged.

        A damaged file is deleted.
        """
        path = self._folder / digest
        try:
            content = read_file(path, limit)
        except CorruptArtifact:
            content = b""
        if content is None:
            return None
        if not has_digest(content, digest):
            _LOG.warning("%s is damaged and is read from the store again", path)
            path.unlink(missing_ok=True)
            return None
        os.utime(path)
        return content

    def keep(self, digest: str, content: bytes) -> None:
        """Keeps a file if the disk has room for it."""
        try:
            write_whole(self._folder / digest, content)
            self._make_room()
        except OSError as error:  # the disk is full: the file is served without being kept
            _LOG.warning("%s cannot be written: %s", self._folder, error.strerror)

    def _make_room(self) -> None:
        found = sorted(((path.stat().st_mtime, path) for path in self._folder.iterdir()), reverse=True)
        used = 0
        for _, path in found:
            used += path.stat().st_size
            if used > MAX_BYTES:
                path.unlink(missing_ok=True)


def has_digest(content: bytes, digest: str) -> bool:
    """Whether the SHA-256 of `content` is `digest`."""
    return hashlib.sha256(content).hexdigest() == digest


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file as a whole, so that no process that shares the folder sees a part of it.

    The scratch file is in the folder above, which must be on the same file system.
    """
    descriptor, scratch = tempfile.mkstemp(dir=path.parent.parent, prefix=".new-")
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 -- it is a descriptor, which has no path
            file.write(content)
        Path(scratch).rename(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
