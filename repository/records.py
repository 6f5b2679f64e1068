"""What the repository knows of a version and of a policy's aliases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from policy_api.v1.artifact_pb2 import PolicyMetadata

MODEL = "model.onnx"
METADATA = "metadata.json"


@dataclass(frozen=True)
class PublishedVersion:
    """One immutable version on disk."""

    policy: str
    version: int
    digest: str  # SHA-256 of model.onnx, lower-case hexadecimal
    create_time: datetime  # UTC
    job_id: str  # empty for a run outside a job
    metadata: PolicyMetadata
    directory: Path

    @property
    def model_path(self) -> Path:
        """Where the model's bytes lie. Verify them before they are trusted."""
        return self.directory / MODEL


@dataclass(frozen=True)
class AliasChange:
    """One entry of a policy's history."""

    kind: Literal["set", "rollback"]
    alias: str
    version: int  # what the alias names after the change
    generation: int  # the policy's generation after the change
    change_time: datetime  # UTC
    actor: str
    reason: str


@dataclass(frozen=True)
class AliasState:
    """All aliases of one policy at one generation."""

    policy: str
    generation: int = 0
    aliases: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    history: tuple[AliasChange, ...] = ()  # oldest first

    def history_of(self, alias: str) -> tuple[AliasChange, ...]:
        """The changes of one alias, oldest first."""
        return tuple(change for change in self.history if change.alias == alias)
