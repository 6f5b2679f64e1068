"""What a report is about: a published version, read back and played again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.gate_pb2 import GateVerdict
from policyd.repository import ModelRepository, PublishedVersion
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.make import EnvironmentInfo, inspect, make_seeded
from policyd_trainer.evaluation.budget import GATE, REPORT, Budget
from policyd_trainer.evaluation.episodes import play
from policyd_trainer.evaluation.reservoir import Reservoir
from policyd_trainer.gate.served import served_policy
from policyd_trainer.rollouts import episodes
from policyd_trainer.rollouts.episodes import EpisodeLog
from policyd_trainer.rollouts.policy import ActingPolicy
from policyd_trainer.runs import curve
from policyd_trainer.runs.curve import Curve

EPISODES = 20  # most episodes that are played again in each mode, to see which states they visit
VISITED = 500  # most of these states that are kept


@dataclass(frozen=True)
class Place:
    """The version's neighbours among the policy's versions."""

    version: int
    digest: str  # SHA-256 of model.onnx
    before: int | None  # the version published before it; None: it is the first
    after: int | None  # the version published after it; None: it is the newest


@dataclass(frozen=True)
class Subject:
    """A published version that has been read. No code of its environment has run."""

    config: TrainingConfig
    model: bytes  # of model.onnx
    metadata: PolicyMetadata
    verdict: GateVerdict | None  # None: no promotion was asked for
    curve: Curve
    episodes: EpisodeLog  # of the training; empty if an older release trained it
    place: Place

    @classmethod
    def of(cls, repository: ModelRepository, published: PublishedVersion) -> Subject:
        """Reads a version.

        Raises:
            PolicydError: it is damaged.
        """
        metadata = published.metadata
        config = resolve_config(
            metadata.policy, metadata.env_id, metadata.algorithm, metadata.seed, dict(metadata.settings)
        )
        model = repository.read_model(published.policy, published.version)
        verdict = repository.verdict(published.policy, published.version)
        content = repository.read_file(published.policy, published.version, curve.FILE)
        place = place_of(published, repository.versions(published.policy))
        log = EpisodeLog()
        if episodes.FILE in published.files:
            log = EpisodeLog.from_json(repository.read_published(published, episodes.FILE))
        return cls(config, model, metadata, verdict, Curve.from_json(content), log, place)

    @property
    def replayed(self) -> int:
        """How many episodes are played again in each mode: what the budget allows, at least one."""
        budget = Budget.of(self.config)
        budget.length = self.metadata.evaluation.greedy.mean_length
        budget.spent = int(budget.steps * GATE)  # the rest of the budget is for the report
        wanted = min(EPISODES, self.config.evaluation_episodes)
        return max(1, budget.episodes(wanted, runs=2, until=REPORT))


@dataclass(frozen=True)
class Player:
    """The environment of a subject, and its policy, run by the model that servers load."""

    info: EnvironmentInfo
    policy: ActingPolicy

    @classmethod
    def of(cls, subject: Subject) -> Player:
        """Makes the environment.

        Raises:
            PolicydError: it is not installed, or has changed.
        """
        info = inspect(subject.config)
        return cls(info, served_policy(subject.model, subject.metadata.distribution, info))

    def visited(self, subject: Subject, *, deterministic: bool) -> np.ndarray:
        """A uniform sample of what the evaluation's first episodes observe [V, D]."""
        first = subject.metadata.evaluation.first_seed
        environments = make_seeded(subject.config, self.info, range(first, first + subject.replayed))
        reservoir, limit = Reservoir(VISITED, first), subject.config.episode_step_limit
        try:
            play(
                environments,
                self.policy,
                first,
                deterministic=deterministic,
                step_limit=limit,
                visited=reservoir,
            )
        finally:
            environments.close()
        return reservoir.rows


def place_of(published: PublishedVersion, versions: list[int]) -> Place:
    """Where the version is among `versions`, which are in ascending order."""
    before = [number for number in versions if number < published.version]
    after = [number for number in versions if number > published.version]
    return Place(
        published.version,
        published.digest,
        before[-1] if before else None,
        after[0] if after else None,
    )
