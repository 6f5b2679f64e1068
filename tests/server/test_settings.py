"""What follows from a server's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_api.cpus import memory_limit, usable_cpus
from server.settings import MIB, Settings, fitting


@pytest.mark.parametrize(
    ("cpus", "memory", "wanted"),
    [(4, None, 4), (16, 1024 * MIB, 5), (2, 1024 * MIB, 2), (8, 256 * MIB, 1), (1, 50 * MIB, 1)],
)
def test_workers_fit_into_memory(cpus: int, memory: int | None, wanted: int) -> None:
    """One a processor, fewer where a container's memory holds fewer, never none."""
    assert fitting(cpus, memory) == wanted


def test_unless_told_there_is_a_worker_a_processor(tmp_path: Path) -> None:
    """A number that was given is taken as it is."""
    assert Settings(repository=tmp_path).processes == fitting(usable_cpus(), memory_limit())
    assert Settings(repository=tmp_path, workers=3).processes == 3
