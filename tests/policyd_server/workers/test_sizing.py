"""How many workers fit into a memory limit."""

from __future__ import annotations

import os

import pytest

from policyd.runtime.memory import own_bytes
from policyd_server.workers.sizing import MIB, fitting, too_large


@pytest.mark.parametrize(
    ("cpus", "limit", "worker", "wanted"),
    [
        (4, None, 100 * MIB, 4),
        (4, 1024 * MIB, 0, 4),  # without /proc nothing is known
        (16, 1024 * MIB, 60 * MIB, 8),
        (16, 1024 * MIB, 120 * MIB, 5),
        (2, 1024 * MIB, 120 * MIB, 2),
        (8, 256 * MIB, 120 * MIB, 1),
        (1, 50 * MIB, 120 * MIB, 1),
    ],
)
def test_workers_fit_into_memory(cpus: int, limit: int | None, worker: int, wanted: int) -> None:
    """There is one per CPU, fewer if memory is too small for the measured size, at least one."""
    assert fitting(cpus, limit, worker) == wanted


def test_other_processes_take_their_part() -> None:
    """Workers cannot use what the HTTP process takes."""
    assert fitting(16, 1024 * MIB, 70 * MIB) == 8
    assert fitting(16, 1024 * MIB, 70 * MIB, 96 * MIB) == 7
    assert too_large(8 * own_bytes(), [], 8 * own_bytes())


def test_what_is_too_large_is_measured() -> None:
    """Two processes exceed a limit of their own size, and not one of four times that."""
    both = own_bytes() + own_bytes(os.getpid())
    assert own_bytes() > MIB
    assert too_large(both, [os.getpid()])
    assert not too_large(4 * both, [os.getpid()])
    assert not too_large(None, [os.getpid()])
    assert own_bytes(2**22 + 1) == 0
