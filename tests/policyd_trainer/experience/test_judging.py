"""Where the trainer has the environment, the gate plays it before the alias moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1.gate_pb2 import GateConfig
from policy_api.v1.training_pb2 import Spaces, TrainingProgress
from policyd.errors import FailedPrecondition
from policyd.experience.configs import ExperienceConfigs
from policyd.experience.sealed import SealedLog
from policyd.gym_spaces import describe
from policyd.repository import ModelRepository
from policyd_trainer.experience.config import LearnConfig
from policyd_trainer.experience.job import ContinuousJob
from policyd_trainer.experience.options import JobOptions
from policyd_trainer.experience.source import Source
from policyd_trainer.experience.telling import LearningClock
from policyd_trainer.gate.config import Gate
from policyd_trainer.gate.judging import Promotion
from policyd_trainer.runs.training import Stopped
from tests.policyd_trainer.experience.world import Told

POLICY = "cartpole"
QUICK = {"evaluation_episodes": "2", "evaluation_steps": "2000"}
SPACES = Spaces(
    observation=describe(gym.make("CartPole-v1").observation_space),
    action=describe(gym.make("CartPole-v1").action_space),
)


class CartPoleWorld:
    """Clients that play CartPole at random, and jobs whose trainer has CartPole, too."""

    def __init__(self, root: Path) -> None:
        self.repository, self.experience = ModelRepository(root), root / "experience"
        config = pb.ExperienceConfig(mode=pb.ExperienceConfig.LEARN)
        ExperienceConfigs(self.experience).change(pb.SetExperienceConfigRequest(policy=POLICY, config=config))
        self.log = SealedLog(self.experience / "episodes" / POLICY)
        self.told = Told()

    def play(self, episodes: int) -> None:
        """Both actions have about the same probability, as in an untrained version."""
        env, rng = gym.make("CartPole-v1"), np.random.default_rng(0)
        for number in range(episodes):
            observation, _ = env.reset(seed=number)
            episode, ended = pb.Episode(policy=POLICY, episode_id=str(number), end=pb.TERMINATED), False
            while not ended:
                action = int(rng.integers(2))
                step = episode.steps.add(step=len(episode.steps), version=1, log_prob=float(np.log(0.5)))
                step.observation = observation.astype("<f4").tobytes()
                step.action = np.array([action], "<i8").tobytes()
                observation, reward, ended, _, _ = env.step(action)
                step.reward, step.reported = float(reward), True
            self.log.append(episode)
        self.log.commit()
        env.close()

    def learn(self, batches: int, criterion: GateConfig.Criterion.ValueType, env_id: str) -> ContinuousJob:
        """A job that has learned from `batches` batches."""
        promotion = Promotion(promote=True, gate=Gate.of(GateConfig(criterion=criterion)))
        options = JobOptions(POLICY, promotion, QUICK, env_id=env_id, spaces=SPACES)
        job = ContinuousJob(
            self.repository,
            Source(self.experience, POLICY),
            options,
            LearnConfig(batch_steps=100, poll_seconds=0.01),
            LearningClock(self.told, None),
        )
        with suppress(Stopped):
            job.run(lambda: job.state.published == batches)
        return job


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CartPoleWorld]:
    """A world whose log is closed at the end."""
    world = CartPoleWorld(tmp_path)
    yield world
    world.log.close()


@pytest.mark.parametrize("criterion", [GateConfig.BETTER, GateConfig.ALWAYS])
def test_the_alias_follows_the_verdict(
    world: CartPoleWorld, criterion: GateConfig.Criterion.ValueType
) -> None:
    """Each version has its evaluation and verdict. The champion is the last one promoted."""
    world.play(20)
    job = world.learn(2, criterion, "CartPole-v1")
    champion = 1
    for number in (2, 3):
        version = world.repository.read(POLICY, number)
        verdict = world.repository.verdict(POLICY, number)
        assert verdict is not None
        assert version.metadata.evaluation.greedy.episodes == 2
        assert verdict.champion_version == champion
        champion = number if verdict.promote else champion
    assert world.repository.aliases(POLICY).aliases["champion"] == champion == job.state.version
    assert job.state.newest == 3
    if criterion == GateConfig.ALWAYS:
        assert champion == 3
    assert TrainingProgress.COMPARING in {progress.phase for progress in world.told.progresses}


def test_an_environment_with_other_spaces_is_refused(world: CartPoleWorld) -> None:
    """An environment with other spaces could not play the policy, so it is refused."""
    with pytest.raises(FailedPrecondition, match="Acrobot-v1 has other spaces than the policy cartpole"):
        world.learn(1, GateConfig.BETTER, "Acrobot-v1")
