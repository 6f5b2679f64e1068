"""Results and failures of jobs whose worker cannot tell them any more."""

from __future__ import annotations

import signal
from pathlib import Path

from policy_api.v1.training_pb2 import TrainingFailure, TrainingResult
from repository import AliasState, PublishedVersion


def result_of(published: PublishedVersion, state: AliasState, alias: str, root: Path) -> TrainingResult:
    """The result of a job that was cancelled after it had published."""
    promoted = state.aliases.get(alias) == published.version
    ending = f"{alias} names it" if promoted else f"it was cancelled before {alias} was pointed at it"
    return TrainingResult(
        policy=published.policy,
        version=published.version,
        digest=published.digest,
        evaluation=published.metadata.evaluation,
        promoted=promoted,
        promotion_reason=f"published when it was cancelled; {ending}",
        generation=state.generation if promoted else 0,
        version_path=str(published.directory.relative_to(root)),
    )


def worker_died(exit_code: int | None, attempts: int, log_tail: list[str]) -> TrainingFailure:
    """The failure of a job whose workers died and got no further."""
    return TrainingFailure(
        reason="WORKER_DIED",
        message=f"the worker {_ending(exit_code)}; attempts: {attempts}, the last ones without progress",
        log_tail=log_tail,
    )


def _ending(exit_code: int | None) -> str:
    if exit_code is None:
        return "ended together with the trainer"
    if exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code} and no result"
