"""Off-policy estimates decide whether the alias follows what a job has learned."""

from __future__ import annotations

import pytest

from policy_api.v1.gate_pb2 import GateVerdict
from policyd.errors import InvalidArgument
from policyd.experience.sealed import Position, read_sealed
from policyd_trainer.experience.config import LearnConfig, check_gate
from policyd_trainer.experience.held_out import HeldOut, is_held_out
from policyd_trainer.experience.job import ContinuousJob
from tests.policyd_trainer.experience.world import ARMS, POLICY, World

SHARE = 0.5


def learned(
    world: World, evidence: str, batches: int = 3, **play: object
) -> tuple[ContinuousJob, GateVerdict]:
    """A job that has published one version, and the verdict about it."""
    own = {"evidence": evidence, "held_out": SHARE, "publish_every": batches, "batch_steps": 96}
    job = world.job(own=own, learning_rate="0.02", n_epochs="4")
    world.learn(job, 0)  # publishes an untrained version
    world.play(2 * 96 * batches + 120, **play)  # type: ignore[arg-type]
    world.learn(job, batches)
    verdict = world.repository.verdict(POLICY, job.state.newest)
    assert verdict is not None
    assert job.state.newest == 2
    return job, verdict


def test_better_is_promoted(world: World) -> None:
    """The verdict has the interval. The alias's history has the reason."""
    before = world
    job, verdict = learned(before, "keep")
    assert (verdict.outcome, verdict.promote) == (GateVerdict.OUTCOME_BETTER, True)
    assert verdict.explanation.startswith("BETTER by off-policy estimates: the mean return differs by ")
    assert 0 < verdict.difference.low < verdict.difference.mean < verdict.difference.high
    assert (verdict.champion_version, world.champion(), job.state.version) == (1, 2, 2)
    change = world.repository.aliases(POLICY).history[-1]
    assert verdict.explanation in change.reason
    assert world.probabilities() @ ARMS > verdict.difference.low


def test_worse_keeps_the_champion(world: World) -> None:
    """A version learned from reversed rewards is worse on the episodes that were kept apart."""

    def reward(episode: str, arm: int) -> float:
        return ARMS[arm] if is_held_out(episode, SHARE) else 1 - ARMS[arm]

    job, verdict = learned(world, "promote", reward=reward)
    assert (verdict.outcome, verdict.promote) == (GateVerdict.OUTCOME_WORSE, False)
    assert verdict.difference.high < 0
    assert (world.champion(), job.state.version) == (1, 1)


@pytest.mark.parametrize(("evidence", "champion"), [("promote", 2), ("keep", 1)])
def test_what_cannot_be_told_follows_the_setting(world: World, evidence: str, champion: int) -> None:
    """With probabilities that were not those of the draws there is no verdict, and it says so."""
    _, verdict = learned(world, evidence, drawn=(0.8, 0.1, 0.1))
    assert verdict.outcome == GateVerdict.OUTCOME_CANNOT_TELL
    assert verdict.promote is (evidence == "promote")
    assert "the recorded probabilities are not those that the actions were drawn with" in verdict.explanation
    assert world.champion() == champion


def test_episodes_that_are_kept_apart_are_never_learned_from(world: World) -> None:
    """Here these are about half, chosen by their names. The job counts them."""
    own = {"evidence": "keep", "held_out": SHARE}
    job = world.job(own=own)
    world.learn(job, 0)
    world.play(200)
    world.learn(job, 1)
    apart = sum(is_held_out(str(number), SHARE) for number in range(200))
    read = job.state.episodes + job.state.dropped.episodes["HELD_OUT"]
    assert job.state.episodes == 64
    assert job.state.dropped.episodes["HELD_OUT"] == sum(is_held_out(str(n), SHARE) for n in range(read))
    assert 60 < apart < 140
    verdict = world.repository.verdict(POLICY, job.state.newest)
    assert verdict is not None
    assert verdict.episodes == apart


def test_deleted_episodes_are_no_evidence(world: World) -> None:
    """Episodes that were read for an earlier verdict and deleted since do not count any more."""
    held_out = HeldOut(world.log.folder, 1.0, now=0.0)
    world.learn(world.job(), 0)  # a version that acts
    world.play(6)
    assert [episode.episode_id for episode in held_out.read()] == ["5", "4", "3", "2", "1", "0"]
    world.log.delete(lambda episode: episode.episode_id in ("1", "4"))
    first, second = list(read_sealed(world.log.folder))[:2]
    world.log.forget_observations(first.at, second.at)  # of the first
    world.play(1)
    assert [episode.episode_id for episode in held_out.read()] == ["6", "5", "3", "2"]
    assert held_out.first_segment(Position(7)) == 1  # a copy of the log must keep it


def test_a_caller_has_at_most_its_share_of_the_evidence(world: World) -> None:
    """One that floods the log cannot decide the verdict."""
    world.configure(max_caller_share=0.5)
    job = world.job(own={"evidence": "keep", "held_out": SHARE})
    world.learn(job, 0)
    world.play(300, caller="flood")
    world.play(100, caller="honest")
    world.learn(job, 1)
    verdict = world.repository.verdict(POLICY, job.state.newest)
    assert verdict is not None
    honest = sum(is_held_out(str(number), SHARE) for number in range(300, 400))
    assert verdict.episodes == 2 * honest


def test_two_gates_are_refused() -> None:
    """If there is an environment, the gate plays it, so no second gate is allowed."""
    with pytest.raises(InvalidArgument, match="settings\\[evidence\\]"):
        check_gate(LearnConfig(evidence="keep"), "CartPole-v1")
    check_gate(LearnConfig(evidence="keep"), "")
