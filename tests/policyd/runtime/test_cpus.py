"""Processors and memory: a container's share counts, not the host's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from policyd.runtime.cpus import memory_limit, usable_cpus

ALLOWED = len(os.sched_getaffinity(0))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("text", "wanted"), [("50000 100000\n", 1), ("max 100000\n", ALLOWED), ("?", ALLOWED)]
)
def test_cgroup_v2(tmp_path: Path, text: str, wanted: int) -> None:
    """cpu.max has quota and period, or `max`."""
    write(tmp_path / "sys/fs/cgroup/cpu.max", text)
    assert usable_cpus(tmp_path) == wanted


@pytest.mark.parametrize(("quota", "wanted"), [("100000", 1), ("-1", ALLOWED), ("9900000", ALLOWED)])
def test_cgroup_v1(tmp_path: Path, quota: str, wanted: int) -> None:
    """cpu.cfs_quota_us is -1 without a limit. A large quota gives no more CPUs than exist."""
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota)
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")
    assert usable_cpus(tmp_path) == wanted


def test_without_cgroup_the_affinity_counts(tmp_path: Path) -> None:
    """Without a cgroup limit the CPU affinity counts, as on a machine without containers."""
    assert usable_cpus(tmp_path) == ALLOWED


@pytest.mark.parametrize(("text", "wanted"), [("1073741824\n", 2**30), ("max\n", None)])
def test_memory_of_cgroup_v2(tmp_path: Path, text: str, wanted: int | None) -> None:
    """memory.max has bytes, or `max`."""
    write(tmp_path / "sys/fs/cgroup/memory.max", text)
    assert memory_limit(tmp_path) == wanted


@pytest.mark.parametrize(("text", "wanted"), [("268435456\n", 2**28), ("9223372036854771712\n", None)])
def test_memory_of_cgroup_v1(tmp_path: Path, text: str, wanted: int | None) -> None:
    """memory.limit_in_bytes is the largest number if there is no limit."""
    write(tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes", text)
    assert memory_limit(tmp_path) == wanted
    assert memory_limit(tmp_path / "elsewhere") is None
