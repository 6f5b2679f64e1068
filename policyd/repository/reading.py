"""Reads files of a repository, whatever kind of entry is in their place.

That may be a link that leads nowhere, a folder, a pipe, a device, or a file without end. Reading
always ends and takes a bounded amount of memory. CorruptArtifact names the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policyd.errors import CorruptArtifact

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_file(path: Path, limit: int) -> bytes | None:
    """Returns the bytes of a regular file of at most `limit` bytes.

    None: there is no entry of this name. CorruptArtifact: the entry cannot be read as such a file.
    """
    with damage(path):
        try:
            _check(path, path.stat(), limit)
        except FileNotFoundError:
            if not path.is_symlink():
                return None
            raise CorruptArtifact(
                f"{path} is a link to {str(path.readlink())!r}, which does not exist"
            ) from None
        # The entry may have changed between the check and the open. So a pipe must not block here,
        # and the size is checked again.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 -- it is a descriptor, which has no path
            _check(path, os.fstat(descriptor), limit)
            content = file.read(limit + 1)
    if len(content) > limit:
        raise CorruptArtifact(f"{path} is larger than {limit} bytes")
    return content


def entries(path: Path) -> list[str]:
    """Returns the names in a folder, ascending; none if it does not exist.

    Raises CorruptArtifact if it cannot be listed.
    """
    with damage(path):
        try:
            return sorted(entry.name for entry in path.iterdir())
        except FileNotFoundError:
            if not path.is_symlink():
                return []
            raise CorruptArtifact(
                f"{path} is a link to {str(path.readlink())!r}, which does not exist"
            ) from None


def is_file(path: Path) -> bool:
    """Whether there is an entry that should be a file. A damaged one counts, a folder does not."""
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a folder above cannot be entered; reading the file raises the reason
        return True


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turns the system's errors about a damaged entry into CorruptArtifact."""
    try:
        yield
    except (OSError, MemoryError) as error:
        why = error.strerror if isinstance(error, OSError) else "it does not fit into memory"
        raise CorruptArtifact(f"{path} cannot be read: {why}") from error


def _check(path: Path, found: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for test, name in _KINDS if test(found.st_mode)), "no file")
        raise CorruptArtifact(f"{path} is {kind}, expected a file")
    if found.st_size > limit:
        raise CorruptArtifact(f"{path} has {found.st_size} bytes, expected at most {limit}")
