"""The model repository on disk: versions, aliases, verification."""

from repository.records import AliasChange, AliasState, PublishedVersion
from repository.store import ModelRepository

__all__ = ["AliasChange", "AliasState", "ModelRepository", "PublishedVersion"]
