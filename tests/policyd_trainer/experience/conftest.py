"""A bandit's world for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.policyd_trainer.experience.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A policy with one untrained version, which the champion names."""
    with World.at(tmp_path / "repository") as world:
        world.learn(world.job(), 0)
        yield world
