"""Versions that nobody needs go; everything that somebody may still ask for stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.recorder import Recorder
from policyd.experience.sealed import Position, Sealed, read_sealed
from policyd_trainer.experience import pruning
from policyd_trainer.experience.pruning import named_versions, prune
from tests.policyd_trainer.experience.world import POLICY, World


@pytest.fixture
def learned(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Versions 2 to 9 are by a job; 1 is not.

    They all appear to be older than a minute.
    """
    monkeypatch.setattr(pruning, "YOUNG", timedelta(0))
    job = world.job()
    for _ in range(8):
        world.play(64)
        world.learn(job)
    return world


def test_what_nobody_needs_is_removed(learned: World) -> None:
    """Kept are versions that an alias or a recent change names, and the newest ones.

    Versions of no job are kept, too.
    """
    repository = learned.repository
    repository.set_alias(POLICY, "canary", 3, actor="operator", reason="")
    removed = prune(repository, learned.experience, POLICY, Position(99, 0), keep=3)
    assert removed == [2, 4, 5, 6]
    assert repository.versions(POLICY) == [1, 3, 7, 8, 9]
    repository.rollback_alias(POLICY, "champion", actor="operator", reason="")
    assert learned.champion() == 8


def test_what_acted_in_an_episode_to_come_stays(learned: World) -> None:
    """The episode may be sealed and after the learner's position, or open in the journal."""
    recorder = Recorder(learned.experience)
    step = pb.RecordedStep(step=0, version=4)
    recorder.decide(pb.DecisionRecord(policy=POLICY, episode_id="open", step=step))
    recorder.decide(pb.DecisionRecord(policy="other", episode_id="open", step=step))
    recorder.commit()
    learned.play(1, version=5)
    assert named_versions(learned.experience, POLICY, Position()) >= {1, 4, 5}
    behind = max(Position(), *[s.at for s in _sealed(learned)])
    assert named_versions(learned.experience, POLICY, behind) == {4, 5}
    assert prune(learned.repository, learned.experience, POLICY, behind, keep=2) == [2, 3, 6, 7]
    recorder.close()


def test_what_is_young_stays(learned: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A young version stays, because a server may be about to load it."""
    monkeypatch.setattr(pruning, "YOUNG", timedelta(minutes=5))
    assert prune(learned.repository, learned.experience, POLICY, Position(99, 0), keep=1) == []


def _sealed(world: World) -> list[Sealed]:
    return list(read_sealed(world.experience / "episodes" / POLICY))
