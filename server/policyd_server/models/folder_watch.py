"""Waits for changes in folders by inotify(7), where every change in them is seen.

A network file system tells only of the changes of its own machine, so that only local file systems
are watched. All others have to be polled.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

# Local file systems, by their number in statfs(2).
LOCAL = frozenset(
    (
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # Btrfs
        0xF2F52010,  # F2FS
        0x2FC12FC1,  # ZFS
        0x01021994,  # tmpfs
        0x794C7630,  # overlayfs
    )
)
# An entry was created, removed, renamed, written and closed, or got other permissions; or the
# folder itself is gone.
_CHANGES = 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
_ONLY_FOLDERS = 0x01000000
_STATFS_BYTES = 256  # larger than struct statfs on every machine
_READ_BYTES = 65536


class FolderWatch:
    """Watches folders, and sets an event when something in them has changed.

    It belongs to one event loop.
    """

    def __init__(self) -> None:
        """Nothing is watched at first. Called on the event loop."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._changed = asyncio.Event()
        self._descriptor = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def watches(self, folders: Iterable[Path]) -> bool:
        """Watches these folders too. Returns whether each change in them is noticed from now on.

        A folder that does not exist is left out: its parent folder tells when it appears. If this
        returns False, the folders have to be polled.
        """
        folders = list(folders)
        return bool(folders) and self._descriptor >= 0 and all(map(self._add, folders))

    async def changed(self, seconds: float) -> None:
        """Returns after a change since the last call, or when the seconds have passed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
        self._changed.clear()

    def close(self) -> None:
        """Stops watching."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        """Returns a descriptor. -1: inotify does not exist, or its limit is reached."""
        begin = getattr(self._libc, "inotify_init1", None)
        descriptor = -1 if begin is None else int(begin(os.O_NONBLOCK | os.O_CLOEXEC))
        if descriptor >= 0:
            asyncio.get_running_loop().add_reader(descriptor, self._read)
        return descriptor

    def _add(self, folder: Path) -> bool:
        name = os.fsencode(folder)
        if folder.exists() and not self._is_local(name):
            return False
        if self._libc.inotify_add_watch(self._descriptor, name, _CHANGES | _ONLY_FOLDERS) >= 0:
            return True
        return ctypes.get_errno() in (errno.ENOENT, errno.ENOTDIR)

    def _is_local(self, name: bytes) -> bool:
        found = ctypes.create_string_buffer(_STATFS_BYTES)
        if self._libc.statfs(name, found) != 0:
            return False
        # The first member is a long on most machines and 4 bytes on others. The numbers fit both.
        return int.from_bytes(found.raw[:4], "little") in LOCAL

    def _read(self) -> None:
        """Reads the events and ignores their content, and whether the kernel dropped some."""
        with suppress(BlockingIOError):
            while os.read(self._descriptor, _READ_BYTES):
                self._changed.set()
