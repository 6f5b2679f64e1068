"""A cgroup for the processes of one job, where cgroups (version 2) may be written.

No process leaves its cgroup by changing its session or its parent, so that ending the cgroup ends
them all, also after the guardian itself was killed. In most containers cgroups are read-only: then
the tree of processes has to do.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from policyd.runtime.running_time import RunningTime

_DEADLINE = 5.0  # seconds that the kernel may take to end killed processes
_PAUSE = 0.01


def made(name: str) -> Path | None:
    """Makes a cgroup below this process's own; None if that is not possible."""
    home = _own()
    if home is None:
        return None
    path = home / name
    try:
        path.mkdir(exist_ok=True)
    except OSError:
        return None
    if (path / "cgroup.kill").exists():
        return path
    with suppress(OSError):
        path.rmdir()
    return None


def enter(path: Path) -> None:
    """Moves this process into the cgroup. Does nothing if the kernel refuses."""
    with suppress(OSError):
        (path / "cgroup.procs").write_text("0")


def end(path: Path) -> list[int]:
    """Kills every process in the cgroup and removes it. Returns the processes that did not end."""
    left: list[int] = []
    clock = RunningTime()
    with suppress(OSError):
        (path / "cgroup.kill").write_text("1")
        while (left := _members(path)) and clock.seconds < _DEADLINE:
            time.sleep(_PAUSE)
        path.rmdir()
    return left


def named(name: str) -> list[Path]:
    """The cgroups with this name that an earlier guardian left behind."""
    home = _own()
    return [path for path in (home / name,) if path.is_dir()] if home is not None else []


def _members(path: Path) -> list[int]:
    return [int(line) for line in (path / "cgroup.procs").read_text().split()]


def _own() -> Path | None:
    """The folder of this process's cgroup (version 2); None if none can be written."""
    with suppress(OSError, StopIteration):
        own = next(
            line[3:] for line in Path("/proc/self/cgroup").read_text().split("\n") if line[:3] == "0::"
        )
        mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
        mount = next(fields[1] for fields in mounts if fields[2] == "cgroup2")
        home = Path(mount + own)
        return home if os.access(home, os.W_OK) else None
    return None
