"""A continuous job whose repository is unavailable at the worst moment."""

from __future__ import annotations

import numpy as np
import pytest

from policyd_trainer.runs.training import Stopped
from tests.policyd_trainer.experience.world import POLICY, World


def _point(world: World, version: int) -> None:
    world.repository.set_alias(POLICY, "champion", version, actor="operator", reason="by hand")


def test_weights_that_cannot_be_loaded_leave_the_jobs_own(world: World) -> None:
    """The alias moves while its version's weights cannot be read, and moves back.

    The job still has what it learned: the next version, of a tiny step, acts like the last one.
    """
    quick = world.job(learning_rate="0.05", n_epochs="4")
    for _ in range(3):
        world.play(64)
        world.learn(quick)
    learned, before = world.champion(), world.probabilities()
    looks = []

    def stop() -> bool:
        looks.append(job.state.version)
        if len(looks) == 1:  # weights are read once to be verified, and then to be loaded
            world.repository.steady_weights = 1
            _point(world, 1)
        elif world.champion() == 1 and world.repository.steady_weights == 0:
            _point(world, learned)
            world.play(64)
        return job.state.batches == 1

    job = world.job(learning_rate="1e-9")
    with pytest.raises(Stopped):
        job.run(stop)
    assert set(looks[:-1]) == {learned}
    assert world.champion() == learned + 1
    np.testing.assert_allclose(world.probabilities(), before, atol=1e-4)


def test_a_version_whose_promotion_fails_is_published_once(world: World) -> None:
    """Also without a job id, by which the repository would find it."""
    world.repository.unset_aliases = 2
    world.play(64)
    job = world.job()
    with pytest.raises(Stopped):
        job.run(lambda: job.state.published == 1)
    assert world.repository.unset_aliases == 0
    assert (world.repository.versions(POLICY), world.champion()) == ([1, 2], 2)
    assert (job.state.newest, job.state.versions) == (2, 1)
