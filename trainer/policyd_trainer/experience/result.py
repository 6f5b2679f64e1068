"""The result of a continuous job: its newest version."""

from __future__ import annotations

from policy_api.v1.training_pb2 import TrainingResult
from policyd.counted import counted
from policyd.repository import ModelRepository
from policyd_trainer.experience.state import LearningState


def result_of(repository: ModelRepository, policy: str, alias: str, state: LearningState) -> TrainingResult:
    """The job's newest version, and whether the alias names it.

    Raises:
        NotFound: the version is gone.
        CorruptArtifact: the version is damaged.
    """
    number = state.newest or state.version
    version = repository.read(policy, number)
    aliases = repository.aliases(policy)
    promoted = aliases.aliases.get(alias) == number
    return TrainingResult(
        policy=policy,
        version=number,
        digest=version.digest,
        evaluation=version.metadata.evaluation,
        version_path=version.path,
        promoted=promoted,
        promotion_reason=f"learned from {counted(state.steps, 'steps')} of clients",
        generation=aliases.generation if promoted else 0,
    )
