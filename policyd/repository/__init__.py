"""The model repository: versions, aliases, verification; in a folder or in object storage."""

from policyd.repository.inspection import Inspection
from policyd.repository.open import location
from policyd.repository.records import AliasChange, AliasState, PublishedVersion
from policyd.repository.store import ModelRepository

__all__ = ["AliasChange", "AliasState", "Inspection", "ModelRepository", "PublishedVersion", "location"]
