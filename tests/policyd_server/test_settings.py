"""What follows from a server's settings."""

from __future__ import annotations

from pathlib import Path

from policyd.runtime.cpus import usable_cpus
from policyd_server.settings import Settings


def test_several_workers_have_a_supervisor(tmp_path: Path) -> None:
    """There are as many as were asked for, or one per CPU."""
    assert Settings(repository=tmp_path).supervised == (usable_cpus() > 1)
    assert Settings(repository=tmp_path, workers=3).supervised
    assert not Settings(repository=tmp_path, workers=1).supervised
