"""A policy with Box actions goes on trying, also where all observations are alike."""

from __future__ import annotations

from pathlib import Path

from tests.policyd_trainer.experience.boxes import HIGH, LOW, BoxWorld

HALF = (HIGH - LOW) / 2


def test_observations_that_are_alike_end_no_exploration(tmp_path: Path) -> None:
    """Scaled, such observations have features of 0. The deviation must not depend on these."""
    with BoxWorld.at(tmp_path / "repository") as world:
        assert isinstance(world, BoxWorld)
        job = world.job()
        world.learn(job, 0)
        first, _ = world.moments()
        for _ in range(4):
            world.play_box(64, "clip")
            world.learn(job)
        mean, deviation = world.moments()
        assert world.champion() == 5
        assert deviation > 0.3 * HALF
        assert mean > first  # where the reward is higher
