"""A bandit that clients play, and the job that learns from them.

No environment, no server, real files.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from policy_api.v1 import artifact_pb2, training_pb2
from policy_api.v1 import experience_pb2 as pb
from policyd.errors import Unavailable
from policyd.experience.configs import ExperienceConfigs
from policyd.experience.sealed import SealedLog
from policyd.repository import AliasState, ModelRepository, PublishedVersion
from policyd_trainer.experience.config import LearnConfig
from policyd_trainer.experience.job import ContinuousJob
from policyd_trainer.experience.options import JobOptions
from policyd_trainer.experience.source import Source
from policyd_trainer.experience.telling import LearningClock
from policyd_trainer.export import weights
from policyd_trainer.gate.judging import Promotion
from policyd_trainer.runs.training import Stopped

POLICY = "bandit"
#: Rewards of the three arms, for any observation.
ARMS = (0.1, 0.9, 0.3)
#: Three arms; observations have two numbers.
SPACES = training_pb2.Spaces(
    observation=artifact_pb2.Space(box=artifact_pb2.BoxSpace(shape=[2], dtype="float32", low=[-1], high=[1])),
    action=artifact_pb2.Space(discrete=artifact_pb2.DiscreteSpace(n=3)),
)


class Told:
    """A reporter that keeps what it gets, and may call back."""

    def __init__(self, answer: Callable[[training_pb2.TrainingProgress], None] = lambda _: None) -> None:
        self.progresses: list[training_pb2.TrainingProgress] = []
        self._answer = answer

    def progress(self, progress: training_pb2.TrainingProgress) -> None:
        """Keeps the progress."""
        self.progresses.append(progress)
        self._answer(progress)

    def result(self, result: training_pb2.TrainingResult) -> None:
        """Does nothing: the job returns the result."""

    def failure(self, failure: training_pb2.TrainingFailure) -> None:
        """Does nothing: the job raises the failure."""


class Unsteady(ModelRepository):
    """A repository whose store fails at the given calls, as one behind a network does."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.steady_weights: int | None = None  # reads of weights until one fails; None: none fails
        self.unset_aliases = 0  # changes of an alias that fail

    def read_published(self, published: PublishedVersion, name: str) -> bytes:
        """See ModelRepository."""
        if name == weights.FILE and self.steady_weights is not None:
            if self.steady_weights == 0:
                raise Unavailable("the store is away")
            self.steady_weights -= 1
        return super().read_published(published, name)

    def set_alias(self, *arguments: Any, **options: Any) -> AliasState:
        """See ModelRepository."""
        if self.unset_aliases > 0:
            self.unset_aliases -= 1
            raise Unavailable("the store is away")
        return super().set_alias(*arguments, **options)


class World:
    """A repository, the log of what clients played, and jobs that learn from it."""

    spaces = SPACES

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repository = Unsteady(root)
        self.experience = root / "experience"
        self.log = SealedLog(self.experience / "episodes" / POLICY)
        self.rng = np.random.default_rng(0)
        self.episodes = 0
        self.configure()

    @classmethod
    @contextmanager
    def at(cls, root: Path) -> Iterator[World]:
        """A world whose log is closed at the end."""
        world = cls(root)
        try:
            yield world
        finally:
            world.log.close()

    def configure(self, **fields: object) -> None:
        """Sets the policy's configuration. The mode is LEARN unless `fields` has another."""
        config = pb.ExperienceConfig(**{"mode": pb.ExperienceConfig.LEARN, **fields})  # type: ignore[arg-type]
        request = pb.SetExperienceConfigRequest(policy=POLICY, config=config, actor="test")
        ExperienceConfigs(self.experience).change(request)

    def champion(self) -> int:
        """The version that the alias champion names."""
        return self.repository.aliases(POLICY).aliases["champion"]

    def probabilities(self) -> np.ndarray:
        """The champion's action probabilities [3]."""
        session = onnxruntime.InferenceSession(self.repository.read_model(POLICY, self.champion()))
        probs = session.run(["action_probs"], {"observations": np.zeros((1, 2), np.float32)})[0][0]
        return np.asarray(probs, np.float64)

    def play(
        self,
        episodes: int,
        *,
        version: int | None = None,
        caller: str = "",
        reward: Callable[[str, int], float] = lambda _, arm: ARMS[arm],
        drawn: tuple[float, ...] | None = None,
    ) -> None:
        """Clients act with the champion's probabilities, and report the arms' rewards.

        `reward` computes it from an episode's name and its arm. `drawn` are the probabilities that
        arms are drawn with, if other than the recorded ones.
        """
        probs = self.probabilities()
        for _ in range(episodes):
            arm = int(self.rng.choice(3, p=drawn or probs / probs.sum()))
            step = pb.RecordedStep(
                step=0,
                version=version or self.champion(),
                observation=np.zeros(2, "<f4").tobytes(),
                action=np.array([arm], "<i8").tobytes(),
                log_prob=float(np.log(probs[arm])),
                reported=True,
                reward=reward(str(self.episodes), arm),
            )
            episode = pb.Episode(
                policy=POLICY, episode_id=str(self.episodes), caller=caller, steps=[step], end=pb.TERMINATED
            )
            self.log.append(episode)
            self.episodes += 1
        self.log.commit()

    def job(
        self,
        reporter: Told | None = None,
        *,
        run_dir: Path | None = None,
        promotion: Promotion | None = None,
        algorithm: str = "",
        own: dict[str, object] | None = None,
        **settings: str,
    ) -> ContinuousJob:
        """A job that has not begun. `own` are fields of LearnConfig."""
        config = LearnConfig.model_validate({"batch_steps": 64, "poll_seconds": 0.01, **(own or {})})
        options = JobOptions(
            POLICY,
            promotion or Promotion(promote=True),
            settings,
            algorithm=algorithm,
            spaces=self.spaces,
            job_id="job" if run_dir else "",
            run_dir=run_dir,
        )
        seconds = itertools.count()  # so that no report is skipped
        clock = LearningClock(reporter or Told(), config.max_steps, lambda: float(next(seconds)))
        return ContinuousJob(self.repository, Source(self.experience, POLICY), options, config, clock)

    def learn(self, job: ContinuousJob, batches: int = 1) -> ContinuousJob:
        """Runs the job until it has learned from `batches` more batches."""
        started: list[int] = []

        def stop() -> bool:
            started.append(job.state.batches)
            return job.state.batches - started[0] >= batches

        with suppress(Stopped):
            job.run(stop)
        return job
