"""Off-policy estimates of Box actions decide whether the alias follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_api.v1.gate_pb2 import GateVerdict
from tests.policyd_trainer.experience.boxes import SHARE, BoxWorld
from tests.policyd_trainer.experience.world import POLICY

BATCHES, BATCH_STEPS = 3, 96
SETTINGS = {
    "clip": {"squash": "clip", "use_sde": "false"},
    "tanh": {"squash": "tanh", "use_sde": "false"},
    "gSDE": {"use_sde": "true", "normalize_observations": "false"},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[BoxWorld]:
    """A policy without a version."""
    with BoxWorld.at(tmp_path / "repository") as world:
        assert isinstance(world, BoxWorld)
        yield world


def judged(world: BoxWorld, kind: str, **play: float) -> GateVerdict:
    """The verdict about the version that the job learns from `batches` batches."""
    own = {"evidence": "keep", "held_out": SHARE, "publish_every": BATCHES, "batch_steps": BATCH_STEPS}
    own["correction"] = "clip"  # many batches of one version's episodes: the policy stays near that version
    settings = {"learning_rate": "0.001", "n_epochs": "4", "minibatch_size": "null", **SETTINGS[kind]}
    job = world.job(own=own, **settings)  # type: ignore[arg-type]
    world.learn(job, 0)  # publishes an untrained version
    world.play_box(2 * BATCH_STEPS * BATCHES + 120, SETTINGS[kind].get("squash", "clip"), **play)
    world.learn(job, BATCHES)
    verdict = world.repository.verdict(POLICY, job.state.newest)
    assert verdict is not None
    return verdict


@pytest.mark.parametrize("kind", SETTINGS)
def test_better_is_promoted(world: BoxWorld, kind: str) -> None:
    """The densities of both versions have the same unit, for any bounds."""
    verdict = judged(world, kind)
    assert (verdict.outcome, verdict.promote) == (GateVerdict.OUTCOME_BETTER, True), verdict.explanation
    assert 0 < verdict.difference.low < verdict.difference.mean < 1
    assert world.champion() == 2


@pytest.mark.parametrize("kind", SETTINGS)
def test_worse_keeps_the_champion(world: BoxWorld, kind: str) -> None:
    """A version learned from reversed rewards is worse on the episodes that were kept apart."""
    verdict = judged(world, kind, learned=-1.0)
    assert (verdict.outcome, verdict.promote) == (GateVerdict.OUTCOME_WORSE, False), verdict.explanation
    assert verdict.difference.high < 0
    assert world.champion() == 1


@pytest.mark.parametrize("kind", SETTINGS)
def test_wrong_densities_tell_nothing(world: BoxWorld, kind: str) -> None:
    """Actions were drawn with another deviation than the recorded one, so there is no verdict."""
    verdict = judged(world, kind, wider=1.6)
    assert (verdict.outcome, verdict.promote) == (GateVerdict.OUTCOME_CANNOT_TELL, False)
    assert "are not those that the actions were drawn with" in verdict.explanation
    assert world.champion() == 1
