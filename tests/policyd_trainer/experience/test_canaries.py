"""A canary judges what a job has published, and the trainer restarts in the middle."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from policy_api.v1.traffic_pb2 import Canary, Traffic, TrafficShare
from policyd.repository import traffic
from policyd_trainer.experience import pruning
from policyd_trainer.experience.job import ContinuousJob
from policyd_trainer.gate.judging import Promotion
from tests.policyd_trainer.experience.world import POLICY, World


class Trainer:
    """Starts the same job again and again, like a trainer that finds it in its table."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder

    def learn(self, batches: int) -> ContinuousJob:
        """Runs a process that learns `batches` batches and then ends."""
        self.world.play(64 * batches)
        promotion = Promotion(promote=False)  # people promote, by canaries
        return self.world.learn(self.world.job(run_dir=self.folder, promotion=promotion), batches)


@pytest.fixture
def trainer(world: World, tmp_path: Path) -> Trainer:
    """It has published versions 2, 3 and 4. Version 2 is a canary of champion 1."""
    trainer = Trainer(world, tmp_path / "run")
    trainer.learn(3)

    def started(state: Traffic) -> Traffic:
        shares = [TrafficShare(version=2, share=0.1)]
        after = traffic.with_shares(state, "champion", shares, actor="ann", reason="canary")
        canary = Canary(state=Canary.RUNNING, alias="champion", version=2, base_version=1, share=0.1)
        after.canary.CopyFrom(canary)
        return after

    world.repository.change_traffic(POLICY, started)
    return trainer


def test_a_restart_changes_nothing_of_the_canary(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job resumes from its checkpoint, and pruning keeps the canary's version."""
    before, repository = trainer.world.repository.traffic(POLICY), trainer.world.repository
    job = trainer.learn(1)
    assert (job.state.version, job.state.batches, job.state.newest) == (1, 4, 5)
    monkeypatch.setattr(pruning, "YOUNG", timedelta(0))
    pruning.prune(repository, trainer.world.experience, POLICY, job.state.position, keep=1)
    assert repository.versions(POLICY) == [1, 2, 5]
    assert repository.traffic(POLICY) == before


def test_a_canary_that_was_promoted_meanwhile_is_learned_on_from(trainer: Trainer) -> None:
    """The trainer was away when the canary was promoted. The next version stems from it."""
    repository = trainer.world.repository
    repository.set_alias(POLICY, "champion", 2, actor="canary", reason="better")
    repository.change_traffic(POLICY, lambda state: traffic.canary_ended(state, Canary.PROMOTED, "better"))
    job = trainer.learn(1)
    assert (job.state.version, job.state.newest) == (2, 5)
    assert repository.read(POLICY, 5).metadata.lineage.version == 2
    assert trainer.world.champion() == 2
