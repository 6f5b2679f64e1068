"""Scratch folders in which versions are put together, on the file system that they are renamed on.

A staging folder is locked by the process that fills it. The kernel drops the lock when that process
dies, however it dies: what can be locked is a leftover.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from policyd.repository.durable import make_directory


@contextmanager
def staging_directory(root: Path) -> Iterator[Path]:
    """Yields a new locked folder below `root`. It is deleted at the end unless it was renamed."""
    make_directory(root)
    path, descriptor = _make_locked(root)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def sweep(root: Path) -> int:
    """Deletes the folders whose owner has died. Returns how many."""
    if not root.is_dir():
        return 0
    return sum(_remove_if_stale(path) for path in sorted(root.iterdir()) if path.is_dir())


def _make_locked(root: Path) -> tuple[Path, int]:
    while True:
        path = root / uuid.uuid4().hex
        path.mkdir()
        with suppress(FileNotFoundError):  # deleted by `sweep` before it was locked: take another one
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists():
                return path, descriptor
            os.close(descriptor)


def _remove_if_stale(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Deleted by its name: if its owner has published it meanwhile, the name no longer exists
        # and nothing happens.
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
