"""Cheap values that change when something changes on disk. A poller compares them first."""

from __future__ import annotations

from pathlib import Path

from policyd.repository.names import POLICY_NAME
from policyd.repository.reading import entries

Stamp = tuple[int, ...]


def read_stamps(models: Path, aliases: Path) -> dict[str, Stamp]:
    """Returns a value per policy, which changes with each publishing and each alias change.

    Both are renames. Publishing changes the modification time of the policy's folder, and an alias
    change gives the alias file another inode. An entry that cannot be read has a stamp of the
    reason, which changes when the entry is repaired.
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
