"""What a report is about: a published version, read back."""

from __future__ import annotations

from dataclasses import dataclass

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.gate_pb2 import GateVerdict
from policyd.repository import ModelRepository, PublishedVersion
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.evaluation.budget import GATE, REPORT, Budget
from policyd_trainer.rollouts import episodes
from policyd_trainer.rollouts.episodes import EpisodeLog
from policyd_trainer.runs import curve
from policyd_trainer.runs.curve import Curve

EPISODES = 20  # most episodes that are played again in each mode, to see which states they visit


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
