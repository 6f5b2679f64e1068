from collections.abc import Mapping
from typing import Generic, TypeVar

from policyd_server.models.splits import Split
from policyd_server.models.version import LoadedVersion

Meant = TypeVar("Meant")

class Dealt(Generic[Meant]):
    """The same as `Dealt` of policyd_server.acting.dealing, in C. For one thread."""

    def __init__(self, behind: int, split: Split, meant: Mapping[LoadedVersion, Meant | None]) -> None: ...
    def pick(self, payload: bytes) -> Meant | None:
        """Returns the request for the version that its key, or chance, chooses.

        None: protobuf must read it.
        """
