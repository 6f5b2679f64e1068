"""The states of a job and which may follow which (the contract's TrainingJob.State)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from policy_api.v1.training_pb2 import TrainingJob, TrainingSpec

State: TypeAlias = "TrainingJob.State.ValueType"

QUEUED = TrainingJob.QUEUED
RUNNING = TrainingJob.RUNNING
CANCELLING = TrainingJob.CANCELLING
SUCCEEDED = TrainingJob.SUCCEEDED
FAILED = TrainingJob.FAILED
CANCELLED = TrainingJob.CANCELLED

TERMINAL: frozenset[State] = frozenset({SUCCEEDED, FAILED, CANCELLED})

# target state -> the states that it may be reached from
SOURCES: Mapping[State, frozenset[State]] = {
    QUEUED: frozenset({RUNNING}),
    RUNNING: frozenset({QUEUED}),
    CANCELLING: frozenset({RUNNING}),
    SUCCEEDED: frozenset({RUNNING, CANCELLING}),
    FAILED: frozenset({RUNNING}),
    CANCELLED: frozenset({QUEUED, CANCELLING}),
}


def is_continuous(spec: TrainingSpec) -> bool:
    """Whether the job learns from clients' episodes, until it is cancelled."""
    return spec.source == TrainingSpec.EXPERIENCE
