"""Scratch folders in which versions are put together, on the file system that they are renamed on.

The process that fills a folder keeps it locked, as `policyd.temporary` says.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policyd.repository.durable import make_directory
from policyd.temporary import make_locked


@contextmanager
def staging_directory(root: Path) -> Iterator[Path]:
    """Yields a new locked folder below `root`. It is deleted at the end unless it was renamed."""
    make_directory(root)
    path, descriptor = make_locked(root)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)
