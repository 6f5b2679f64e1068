"""What a model repository needs of the place that holds its bytes.

`ModelRepository` knows the format. A storage changes it so that a reader never sees half a change:
`DiskStorage` by renames and locks, `ObjectStorage` by conditional writes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Draft:
    """A version before it has a number."""

    files: Mapping[str, Path | bytes]
    config: bytes  # of config.pbtxt
    job_id: str  # empty: outside a job
    # From the number and the SHA-256 by file name to the bytes of metadata.json.
    describe: Callable[[int, Mapping[str, str]], bytes]


class Storage(Protocol):
    """Versions and alias states by name. Names are valid when they arrive here.

    Every method raises Unavailable if the storage cannot be reached, FailedPrecondition if it may
    not be used, and CorruptArtifact if an entry is not what it has to be.
    """

    @property
    def location(self) -> str:
        """A path or a URL, for people; without credentials."""

    def policies(self) -> list[str]:
        """Names that have an entry of any kind, in any order; they may have no version."""

    def numbers(self, policy: str) -> list[int]:
        """Numbers of the versions that have a metadata.json, ascending."""

    def has_versions(self, policy: str) -> bool:
        """Whether `numbers` has any; it may be as old as the last `stamps`."""

    def unfinished(self, policy: str) -> Mapping[int, str]:
        """Numbers that are taken but have no metadata.json, ascending; and why, for people."""

    def names(self, policy: str, version: int) -> list[str]:
        """Names of a version's files."""

    def read(self, policy: str, version: int, name: str, limit: int) -> bytes | None:
        """One file of a version, at most `limit` bytes; None: it has no such file."""

    def find_job(self, policy: str, job_id: str) -> int | None:
        """The version that a job published."""

    def publish(self, policy: str, draft: Draft) -> int:
        """Publishes the draft under the next number, whole or not at all; a job only once."""

    def restore(self, policy: str, version: int, files: Mapping[str, bytes], config: bytes) -> bool:
        """Publishes files, metadata.json among them, under a given number.

        False: the number is taken.
        """

    def add(self, policy: str, version: int, name: str, content: bytes, *, replace: bool = False) -> bool:
        """Adds a file to a version, whole or not at all.

        False: it has one of this name, and keeps it.
        """

    def remove(self, policy: str, version: int) -> bool:
        """Removes a version, whole or not at all for readers; its number is not used again.

        False: none.
        """

    def read_aliases(self, policy: str) -> bytes | None:
        """The policy's alias state; None: it has none."""

    def update_aliases(self, policy: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """Replaces the alias state by what `change` makes of it; None: it stays.

        `change` may be called several times, until no other writer came in between.
        """

    def read_traffic(self, policy: str) -> bytes | None:
        """The policy's traffic; None: nothing shares an alias, and nothing ever did."""

    def update_traffic(self, policy: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """As update_aliases, of the policy's traffic."""

    def stamps(self) -> Mapping[str, Hashable]:
        """Per policy a value that differs after each publishing and each change of an alias."""

    def look_again(self) -> bool:
        """Makes `stamps` and `policies` as new as can be, where they are remembered.

        False: nothing was asked of the storage. They are new already, or it is too soon.
        """

    def folders(self) -> list[Path]:
        """Local folders in which an entry changes whenever a stamp does. Empty: poll the stamps."""

    def absence(self) -> str | None:
        """Why there can be no version at all, for people; None: there is a place for them."""

    def prepare(self) -> None:
        """Makes sure, once, that changes are safe here. FailedPrecondition: they would not be."""

    def sweep(self) -> int:
        """Removes what publishers that died left behind. Returns how many leftovers there were."""
