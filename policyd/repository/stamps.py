"""Cheap signs that something changed on disk: what a poller compares before it reads anything."""

from __future__ import annotations

from pathlib import Path

from policyd.repository.names import POLICY_NAME
from policyd.repository.reading import entries

Stamp = tuple[int, ...]


def read_stamps(models: Path, aliases: Path) -> dict[str, Stamp]:
    """Per policy a value that differs after each publishing and each change of an alias.

    Both are renames: one changes its folder's modification time, the other the alias file's inode.
    An entry that cannot be looked at has a stamp too, of the reason: it changes when the entry is
    repaired.
    """
    stamps: dict[str, Stamp] = {}
    for name in entries(models):
        if POLICY_NAME.fullmatch(name):
            stamps[name] = _stamp(models / name)
    for entry in sorted(entries(aliases)):
        name, dot, suffix = entry.partition(".")
        if dot and suffix in ("json", "traffic") and POLICY_NAME.fullmatch(name):
            stamps[name] = (*stamps.get(name, ()), *_stamp(aliases / entry))
    return stamps


def _stamp(path: Path) -> Stamp:
    try:
        seen = path.stat()
    except OSError as error:
        return (-(error.errno or 1),)
    return (seen.st_ino, seen.st_mtime_ns, seen.st_size, seen.st_mode)
