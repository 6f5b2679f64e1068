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
    """A version that has no number yet."""

    files: Mapping[str, Path | bytes]
    config: bytes  # of config.pbtxt
    job_id: str  # empty: outside a job
    # A function from the version's number and the SHA-256 of each file to the bytes of
    # metadata.json.
    describe: Callable[[int, Mapping[str, str]], bytes]


class Storage(Protocol):
    """Stores versions and alias states. The names that it is called with are valid.

    Every method raises Unavailable if the storage cannot be reached, FailedPrecondition if access
    is refused, and CorruptArtifact if an entry is damaged.
    """

    @property
    def location(self) -> str:
        """A path or a URL for messages, without credentials."""

    def policies(self) -> list[str]:
        """Returns the names that have an entry of any kind, in any order. Some have no version."""

    def numbers(self, policy: str) -> list[int]:
        """Returns the numbers of the versions that have a metadata.json, ascending."""

    def has_versions(self, policy: str) -> bool:
        """Whether `numbers` is not empty. The answer may be as old as the last `stamps`."""

    def unfinished(self, policy: str) -> Mapping[int, str]:
        """Returns the numbers that are taken but have no metadata.json, ascending, and why."""

    def names(self, policy: str, version: int) -> list[str]:
        """Returns the names of a version's files."""

    def read(self, policy: str, version: int, name: str, limit: int) -> bytes | None:
        """Returns one file of a version, at most `limit` bytes. None: it has no such file."""

    def find_job(self, policy: str, job_id: str) -> int | None:
        """Returns the version that a job published. None: it published none."""

    def publish(self, policy: str, draft: Draft) -> int:
        """Publishes the draft as a whole under the next number, and returns the number.

        A job publishes only once: a second call returns the first number.
        """

    def restore(self, policy: str, version: int, files: Mapping[str, bytes], config: bytes) -> bool:
        """Publishes files, including metadata.json, under a given number.

        False: the number is taken.
        """

    def add(self, policy: str, version: int, name: str, content: bytes, *, replace: bool = False) -> bool:
        """Adds a file to a version as a whole.

        Without `replace`, an existing file of this name stays. False: there was one.
        """

    def remove(self, policy: str, version: int) -> bool:
        """Removes a version; readers never see a part of it. Its number is not used again.

        False: there was no such version.
        """

    def read_aliases(self, policy: str) -> bytes | None:
        """Returns the policy's alias state. None: it has none."""

    def update_aliases(self, policy: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """Replaces the alias state by the result of `change`. If that is None, the state stays.

        `change` may be called several times, until no other writer was faster.
        """

    def read_traffic(self, policy: str) -> bytes | None:
        """Returns the policy's traffic. None: it never had shares, a shadow or a canary."""

    def update_traffic(self, policy: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """As update_aliases, for the policy's traffic."""

    def stamps(self) -> Mapping[str, Hashable]:
        """Returns a value per policy, which changes with each publishing and each alias change."""

    def look_again(self) -> bool:
        """Asks the storage again, so that `stamps` and `policies` are up to date.

        False: nothing was asked, because nothing is remembered or the last answer is very new.
        """

    def folders(self) -> list[Path]:
        """Local folders in which an entry changes with each stamp. Empty: poll the stamps."""

    def absence(self) -> str | None:
        """Returns why there cannot be any version, as text. None: there is a place for versions."""

    def prepare(self) -> None:
        """Tests, once, that changes are safe here. FailedPrecondition: they are not."""

    def sweep(self) -> int:
        """Deletes what publishers that died left behind. Returns the number of leftovers."""
