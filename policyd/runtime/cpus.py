"""How many processors and how much memory this process may use: its container's, not the host's."""

from __future__ import annotations

import math
import os
from pathlib import Path

_UNLIMITED = 2**60  # cgroup version 1 writes a number above this if there is no limit


def usable_cpus(root: Path = Path("/")) -> int:
    """Returns the number of usable processors, at least 1.

    It is the smaller of the affinity mask and the cgroup's quota (version 2 or 1).
    """
    allowed = len(os.sched_getaffinity(0))
    quota = _quota_v2(root) or _quota_v1(root)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def memory_limit(root: Path = Path("/")) -> int | None:
    """Returns the cgroup's memory limit (version 2 or 1) in bytes; None: there is none."""
    for name in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limit = int((root / name).read_text())
        except (OSError, ValueError):
            continue
        return limit if limit < _UNLIMITED else None
    return None


def _quota_v2(root: Path) -> float | None:
    try:
        quota, period = (root / "sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(root: Path) -> float | None:
    folder = root / "sys/fs/cgroup/cpu"
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 else None
