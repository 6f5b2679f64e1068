"""A continuous job learns a bandit from its log.

It survives being killed, and follows the operator.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1.training_pb2 import TrainingProgress
from policyd.errors import FailedPrecondition
from policyd.experience.learned import read_learned
from policyd.experience.sealed import Position
from policyd.repository import ModelRepository
from policyd.repository.durable import locked
from policyd_trainer.experience.config import LearnConfig
from policyd_trainer.experience.job import ContinuousJob
from policyd_trainer.experience.options import JobOptions
from policyd_trainer.experience.source import Source
from policyd_trainer.experience.telling import LearningClock
from policyd_trainer.gate.judging import Promotion
from policyd_trainer.runs.training import Stopped
from tests.policyd_trainer.experience.world import ARMS, POLICY, Told, World

BEST = 0.99 * max(ARMS)


class Killed(Exception):
    """Raised in place of kill -9: the job ends at once, wherever it is."""


@pytest.mark.parametrize(
    ("algorithm", "correction"), [("a2c", "weighted"), ("a2c", "vtrace"), ("reinforce", "weighted")]
)
def test_a_bandit_is_learned_to_within_a_hundredth_of_its_optimum(
    world: World, algorithm: str, correction: str
) -> None:
    """The last version's expected reward is at least 99% of the best arm's."""
    job = world.job(algorithm=algorithm, own={"correction": correction}, learning_rate="0.02", n_epochs="4")
    for _ in range(60):
        world.play(64)
        world.learn(job)
        if world.probabilities() @ ARMS >= BEST:
            break
    assert world.probabilities() @ ARMS >= BEST
    assert world.champion() == job.state.newest
    metadata = world.repository.read(POLICY, job.state.newest).metadata
    assert metadata.lineage.version == job.state.newest - 1
    assert metadata.parity.max_abs_difference <= metadata.parity.tolerance


def test_old_actions_move_the_policy_only_so_far(world: World) -> None:
    """The policy waits for actions of newer versions, and goes on when they come."""
    job = world.job(own={"publish_every": 20}, learning_rate="0.001", n_epochs="4")
    world.learn(job, 0)
    shifts, first = [], world.probabilities()
    for _ in range(2):
        world.play(64 * 20)
        world.learn(job, 20)
        shifts.append(abs(world.probabilities() - first).sum() / 2)
    assert 0.15 < shifts[0] < 0.35
    assert shifts[1] > shifts[0] + 0.1


def test_a_job_that_starts_again_learns_from_nothing_twice(world: World) -> None:
    """The job resumes after the last version's position. Its steps add up to those played."""
    world.play(64)
    world.learn(world.job())
    world.play(64)
    job = world.learn(world.job())
    assert (job.state.steps, job.state.episodes) == (64, 64)
    content = world.repository.read_file(POLICY, job.state.newest, "experience.json")
    assert json.loads(content)["position"] == list(job.state.position)
    learned = read_learned(world.experience, POLICY)
    assert (learned.position, learned.episodes, learned.steps) == (job.state.position, 128, 128)


@pytest.mark.parametrize("moment", range(2, 7))
def test_a_killed_job_counts_each_episode_once(world: World, tmp_path: Path, moment: int) -> None:
    """The job is killed at one report or another and started again.

    Its weights are those of a job without a kill.
    """

    def die(_: TrainingProgress) -> None:
        if len(told.progresses) == moment:
            raise Killed

    told = Told(die)
    world.play(64 * 3)
    with pytest.raises(Killed):
        world.learn(world.job(told, run_dir=tmp_path / "run"), 3)
    again = world.job(run_dir=tmp_path / "run")
    with pytest.raises(Stopped):
        again.run(lambda: again.state.published == 3)
    assert (again.state.batches, again.state.steps, again.state.dropped.total) == (3, 64 * 3, 0)
    assert again.state.versions == 3
    assert world.repository.versions(POLICY) == [1, 2, 3, 4]
    assert world.champion() == 4


@pytest.mark.parametrize("algorithm", ["a2c", "reinforce"])
def test_a_killed_job_goes_on_with_the_same_weights(tmp_path: Path, algorithm: str) -> None:
    """With a checkpoint the optimiser's state is kept, too.

    Three batches give the same model with and without a kill.
    """
    models = []
    for name, lives in (("whole", (3,)), ("killed", (1, 1, 1))):
        with World.at(tmp_path / name) as world:
            world.learn(world.job(algorithm=algorithm, run_dir=tmp_path / f"run-{name}"), 0)
            world.play(64 * 3)
            for batches in lives:
                world.learn(world.job(algorithm=algorithm, run_dir=tmp_path / f"run-{name}"), batches)
            models.append((world.champion(), world.probabilities().tolist()))
    assert models[0] == models[1]


def test_the_operators_rollback_is_taken_up(world: World) -> None:
    """If the alias was moved, the job publishes nothing over it and goes on from that version."""
    job = world.job()
    world.play(64)
    world.learn(job)
    assert world.champion() == 2
    world.repository.rollback_alias(POLICY, "champion", actor="operator", reason="worse in the shop")
    world.play(64)
    world.learn(job)
    assert world.champion() == 3
    assert world.repository.read(POLICY, 3).metadata.lineage.version == 1
    assert read_learned(world.experience, POLICY).steps == 128


def test_what_is_too_old_is_dropped_and_counted(world: World) -> None:
    """Version 1's episodes are too old if the alias has named three since, with a lag of 2.

    They are counted by length.
    """
    world.configure(max_version_lag=2)
    job = world.job()
    for _ in range(3):
        world.play(64)
        world.learn(job)
    world.play(1, version=1)
    world.play(64)
    world.learn(job)
    [dropped] = read_learned(world.experience, POLICY).dropped
    assert (dropped.reason, dropped.episodes, dropped.steps, list(dropped.lengths)) == ("TOO_OLD", 1, 1, [1])


def test_what_is_dropped_is_told_although_nothing_can_be_learned(world: World, tmp_path: Path) -> None:
    """Of 64 episodes none can be used: a job that starts again does not read them again."""
    world.play(64)
    world.learn(world.job())
    world.log.forget_observations(Position(), read_learned(world.experience, POLICY).position)
    (world.experience / "learned" / f"{POLICY}.json").unlink()
    world.repository.rollback_alias(POLICY, "champion", actor="operator", reason="again")
    job = world.job(run_dir=tmp_path / "run")
    looks = itertools.count()
    with pytest.raises(Stopped):
        job.run(lambda: next(looks) == 2)
    learned = read_learned(world.experience, POLICY)
    assert [(each.reason, each.episodes) for each in learned.dropped] == [("FORGOTTEN", 64)]
    assert learned.position == job.state.position != Position()
    again = world.job(run_dir=tmp_path / "run")
    with pytest.raises(Stopped):
        again.run(lambda: True)
    assert (again.state.position, again.state.dropped.total) == (job.state.position, 64)


def test_versions_that_nobody_acted_with_make_nothing_older(world: World) -> None:
    """Without promotion five versions are published, but the champion's episodes are no older."""
    world.configure(max_version_lag=2)
    job = world.job(promotion=Promotion(promote=False))
    for _ in range(5):
        world.play(64)
        world.learn(job)
    assert world.champion() == 1
    assert (job.state.newest, job.state.dropped.total) == (6, 0)


def test_one_callers_share_is_the_policys_own_rule(world: World) -> None:
    """Of 48 episodes by one caller and 16 by another, a share of one half keeps 16."""
    world.configure(max_caller_share=0.5)
    world.play(48, caller="flood")
    world.play(16, caller="honest")
    job = world.learn(world.job())
    assert (job.state.episodes, job.state.dropped.episodes["CALLER_CAP"]) == (32, 32)


def test_a_policy_that_may_not_be_learned_waits(world: World) -> None:
    """In mode RECORD nothing is read. With mode LEARN the job goes on."""
    world.configure(mode=pb.ExperienceConfig.RECORD)
    world.play(64)
    looks = []

    def stop() -> bool:
        looks.append(job.state.batches)
        if len(looks) == 5:
            world.configure()
        return job.state.batches == 1

    job = world.job()
    with pytest.raises(Stopped):
        job.run(stop)
    assert looks[:5] == [0] * 5
    assert job.state.batches == 1


def test_observations_that_were_forgotten_are_dropped(world: World) -> None:
    """A job that lost its position does not learn from the zeros that replace them."""
    world.play(64)
    job = world.learn(world.job())
    world.log.forget_observations(type(job.state.position)(), job.state.position)
    (world.experience / "learned" / f"{POLICY}.json").unlink()
    world.repository.rollback_alias(POLICY, "champion", actor="operator", reason="again")
    world.play(64)
    again = world.learn(world.job())
    assert again.state.dropped.episodes["FORGOTTEN"] == 64


def test_a_job_with_an_end_says_how_far_it_is(world: World) -> None:
    """`max_steps` ends it with a result.

    Without it there is neither a fraction nor an estimate.
    """
    told = Told()
    world.play(192)
    job = world.job(told, own={"max_steps": 128})
    result = job.run(lambda: False)
    assert (result.version, result.promoted, job.state.steps) == (3, True, 128)
    assert told.progresses[-1].fraction == 1
    assert told.progresses[-1].total_env_steps == 128
    endless = Told()
    world.learn(world.job(endless))
    assert {(p.fraction, p.total_env_steps, p.HasField("eta")) for p in endless.progresses} == {(0, 0, False)}
    assert endless.progresses[-1].learning.version == 4


def test_a_version_every_so_many_batches(world: World) -> None:
    """publish_every limits the age of what clients act with: four batches, two versions."""
    world.play(64 * 4)
    job = world.learn(world.job(own={"publish_every": 2}), 4)
    assert (job.state.batches, job.state.versions, world.champion()) == (4, 2, 3)


def test_a_policy_without_a_version_or_spaces_is_refused(tmp_path: Path) -> None:
    """There are no weights to start from, and nothing says which would fit."""
    clock = LearningClock(Told(), None)
    repository = ModelRepository(tmp_path)
    job = ContinuousJob(
        repository, Source(tmp_path / "experience", POLICY), JobOptions(POLICY), LearnConfig(), clock
    )
    with pytest.raises(FailedPrecondition, match="no alias champion to start from"):
        job.run(lambda: True)


def test_a_second_job_of_the_policy_is_refused(world: World) -> None:
    """Two learners would mistake each other's promotions for an operator's."""
    with (
        locked(world.experience / "learned" / f".{POLICY}.lock"),
        pytest.raises(FailedPrecondition, match="another job learns bandit"),
    ):
        world.learn(world.job())
