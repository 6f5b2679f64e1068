"""Files that survive a crash: fsync, rename, fsync of the folder.

And a lock that dies with its holder.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policyd.errors import CorruptArtifact, Exhausted, FailedPrecondition

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DAMAGED = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}  # errors of an entry of the wrong kind
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def make_directory(path: Path) -> None:
    """Creates `path` and its missing parents. Each entry is durable in its parent."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes the folder's entries durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Writes a new file and makes its bytes durable. Its name is durable after `sync_directory`."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Replaces `path` as a whole: a reader sees the old bytes or the new ones.

    The caller holds the lock.
    """
    scratch = path.with_name(f".{path.name}.new")
    write_file(scratch, content)
    scratch.rename(path)
    sync_directory(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Holds an exclusive lock on the file `path`, of which it yields the descriptor.

    The kernel releases the lock when the holder dies.
    """
    # flock works with read-only access, so other users of the machine can take the lock too.
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def locked_meanwhile(path: Path) -> Iterator[None]:
    """As `locked`, on a file that only exists while somebody holds the lock or waits for it."""
    while True:
        with locked(path) as descriptor:
            if not _is_at(path, descriptor):
                continue  # its last holder removed it: the next one makes another
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def locked_at_once(path: Path) -> Iterator[bool]:
    """As `locked`, but without waiting: yields False if another process holds the lock."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """Turns errors of a full, read-only or damaged disk into errors of `policyd.errors`.

    All other errors are raised unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = f"the repository {root} has no space left: {error.strerror}"
            raise Exhausted(message, reason="DISK_FULL", retry_after=60) from error
        if error.errno in _READ_ONLY:
            message = f"the repository {root} cannot be written: {error.strerror}: {error.filename}"
            raise FailedPrecondition(message, reason="READ_ONLY") from error
        if error.errno in _DAMAGED:
            message = f"the repository {root} is damaged: {error.filename}: {error.strerror}"
            raise CorruptArtifact(message) from error
        raise
