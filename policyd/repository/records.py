"""The repository's records: a published version, an alias change, the aliases of one policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from policy_api.v1.artifact_pb2 import PolicyMetadata

MODEL = "model.onnx"
METADATA = "metadata.json"
# Why a number is not a version. The path of the number is put in front.
NOT_PUBLISHED = f"has no {METADATA}, so it is not a version; `policyctl import` publishes a model"
CLAIMED = "was claimed by a publisher that has ended or is still at work: it is not a version"


@dataclass(frozen=True)
class PublishedVersion:
    """The description of one immutable version."""

    policy: str
    version: int
    digest: str  # SHA-256 of model.onnx, lower-case hexadecimal
    create_time: datetime  # UTC
    job_id: str  # empty for a run outside a job
    metadata: PolicyMetadata
    files: Mapping[str, str]  # SHA-256 by file name, as published

    @property
    def path(self) -> str:
        """The folder of the version's files, relative to the repository's root."""
        return f"models/{self.policy}/{self.version}"


@dataclass(frozen=True)
class AliasChange:
    """One entry of a policy's history."""

    kind: Literal["set", "rollback"]
    alias: str
    version: int  # the version that the alias names after the change
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
