"""Temporary folders that do not outlive their process for long, however it ends.

The process that makes a folder keeps it locked. The kernel drops the lock when that process dies.
So a folder that can be locked is a leftover, and the next process that makes one removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from policyd.errors import FailedPrecondition

#: Where paths are short enough for Unix sockets, which have at most 107 bytes. Up to 60 of them
#: follow: the user's number, the purpose, the names of the folder and of the socket.
_SHORT, _SHORT_BYTES = Path("/tmp"), 47  # noqa: S108 -- only this user can enter the folder in it


class TemporaryFolder:
    """A folder below the system's folder for temporary files, for this user alone.

    As a context manager it removes the folder at the end of the block.
    """

    def __init__(self, purpose: str, *, sockets: bool = False) -> None:
        """`purpose`: a word. Leftovers of the same purpose are removed first.

        `sockets`: it is for Unix sockets, so if the system's folder has a long path, /tmp is used.
        FailedPrecondition: the place belongs to another user.
        """
        place = Path(tempfile.gettempdir())
        if sockets and len(os.fsencode(place)) > _SHORT_BYTES:
            place = _SHORT
        root = _own_root(place) / purpose
        root.mkdir(exist_ok=True)
        sweep(root)
        self.path, self._descriptor = make_locked(root)

    def remove(self) -> None:
        """Removes the folder with all that it holds. May be repeated."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def make_locked(root: Path) -> tuple[Path, int]:
    """A new folder below `root`, and the descriptor that locks it until it is closed."""
    while True:
        path = root / uuid.uuid4().hex[:16]
        path.mkdir()
        with suppress(FileNotFoundError):  # deleted by `sweep` before it was locked: take another one
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists():
                return path, descriptor
            os.close(descriptor)


def sweep(root: Path) -> int:
    """Deletes the folders below `root` whose owner has died. Returns how many."""
    if not root.is_dir():
        return 0
    return sum(_remove_if_stale(path) for path in sorted(root.iterdir()) if path.is_dir())


def _remove_if_stale(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Deleted by its name: if its owner has renamed it meanwhile, the name no longer exists and
        # nothing happens.
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _own_root(place: Path) -> Path:
    root = place / f"policyd-{os.geteuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    found = root.lstat()  # its name can be guessed, so another user can have made it
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        message = f"{root} is not a folder of this user alone: remove it, or set TMPDIR to another folder"
        raise FailedPrecondition(message)
    return root
