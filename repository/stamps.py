"""Cheap signs that something changed: what a poller compares before it reads anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from repository.names import POLICY_NAME

Stamp = tuple[int, ...]


def read_stamps(models: Path, aliases: Path) -> dict[str, Stamp]:
    """Per policy a value that differs after each publishing and each change of an alias.

    Both are renames: one changes its folder's modification time, the other the alias file's inode.
    """
    stamps: dict[str, Stamp] = {}
    for entry in _entries(models):
        if POLICY_NAME.fullmatch(entry.name):
            stamps[entry.name] = (entry.stat().st_mtime_ns,)
    for entry in _entries(aliases):
        name, dot, suffix = entry.name.partition(".")
        if dot and suffix == "json" and POLICY_NAME.fullmatch(name):
            seen = entry.stat()
            stamps[name] = (*stamps.get(name, ()), seen.st_ino, seen.st_mtime_ns, seen.st_size)
    return stamps


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            yield from sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
