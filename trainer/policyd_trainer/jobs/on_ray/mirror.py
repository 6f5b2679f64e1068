"""A run's folder on the machine that works on it, and its copy in object storage.

Machines need no shared file system then: whoever goes on with a job fetches what was uploaded last.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from pathlib import Path

from policyd.repository.object_client import ObjectClient
from policyd.repository.object_url import open_objects
from policyd.temporary import TemporaryFolder

LARGEST = 2**33  # bytes of one file


class Mirror:
    """Copies a run's files between object storage and a scratch folder of its own. Thread-safe."""

    def __init__(self, client: ObjectClient) -> None:
        """`client` has the run's own prefix. Removes the folders of dead processes first."""
        self._client = client
        self._stack = ExitStack()
        self._turn = threading.Lock()  # one upload at a time
        self.folder = self._stack.enter_context(TemporaryFolder("mirrors")).path
        self._uploaded: dict[str, tuple[int, int, int]] = {}  # by name: inode, size, time of modification

    @classmethod
    def of(cls, url: str) -> Mirror:
        """The mirror of a run at a URL.

        Raises:
            InvalidArgument: the URL is wrong.
            FailedPrecondition: the package for it is not installed.
        """
        return cls(open_objects(url))

    def fetch(self) -> None:
        """Downloads the run's files into the folder.

        Raises:
            Unavailable: the storage cannot be reached.
            FailedPrecondition: this machine may not read it.
        """
        for name, _ in self._client.entries(""):
            if _is_name(name) and (found := self._client.get(name, LARGEST)) is not None:
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(found.content)
                self._uploaded[name] = _stamp(path)

    def upload(self) -> None:
        """Uploads the files that have changed since the last time, each as a whole.

        Raises:
            Unavailable: the storage cannot be reached.
            FailedPrecondition: this machine may not write it.
        """
        with self._turn:
            for path in sorted(self.folder.rglob("*")):
                name = str(path.relative_to(self.folder))
                if path.is_file() and not path.is_symlink() and _is_name(name):
                    with suppress(FileNotFoundError):  # the run has just removed it
                        self._upload(name, path)

    def _upload(self, name: str, path: Path) -> None:
        stamp = _stamp(path)
        if self._uploaded.get(name) != stamp:
            self._client.put(name, path.read_bytes())
            self._uploaded[name] = stamp

    def close(self) -> None:
        """Removes the folder."""
        self._stack.close()


def _stamp(path: Path) -> tuple[int, int, int]:
    """Identifies a file's content. It is taken before reading: later changes are uploaded again."""
    seen = path.stat()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def _is_name(name: str) -> bool:
    """Whether it is the name of a finished file. Names of unfinished ones begin with a dot."""
    return bool(name) and not any(part.startswith(".") for part in name.split("/"))
