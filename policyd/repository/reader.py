"""Reads the model repository: versions, their files and verdicts, aliases, traffic.

`store.py` changes it. The format is here and in the modules of its parts; `Storage` says where the
bytes are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from contextlib import suppress
from pathlib import Path

from policy_api.v1.gate_pb2 import GateVerdict
from policy_api.v1.traffic_pb2 import Traffic
from policyd.errors import CorruptArtifact, FailedPrecondition, NotFound, Unavailable
from policyd.repository import alias_format, traffic, verdicts, versions
from policyd.repository.changes import uses
from policyd.repository.disk import DiskStorage
from policyd.repository.inspection import Inspection, attempt
from policyd.repository.names import validate_policy_name
from policyd.repository.open import open_storage
from policyd.repository.records import METADATA, MODEL, AliasState, PublishedVersion
from policyd.repository.storage import Storage


class RepositoryReader:
    """Reads published versions and aliases at a location: a folder, or a URL of object storage."""

    def __init__(self, location: Path | str | Storage) -> None:
        """Raises InvalidArgument if the location's kind is not known."""
        self.storage = open_storage(location) if isinstance(location, Path | str) else location

    @property
    def location(self) -> str:
        """The path or URL, which holds no credentials."""
        return self.storage.location

    @property
    def root(self) -> Path:
        """The folder. FailedPrecondition: it is in object storage."""
        if not isinstance(self.storage, DiskStorage):
            raise FailedPrecondition(f"{self.location} is not a folder")
        return self.storage.root

    def policies(self) -> list[str]:
        """Names of the policies that have a version or are damaged, ascending."""
        return sorted(name for name in self.storage.policies() if self._is_policy(name))

    def versions(self, policy: str) -> list[int]:
        """Published numbers, ascending.

        NotFound: no such policy. CorruptArtifact: it cannot be listed.
        """
        found = self.storage.numbers(validate_policy_name(policy))
        if not found:
            there = ", ".join(self.policies()) or "none"
            raise NotFound(f"no policy {policy!r}; there are: {there}")
        return found

    def inspect(self, policy: str) -> Inspection:
        """Returns everything that the policy has. Damage is collected, not raised."""
        validate_policy_name(policy)
        damage: list[str] = []
        state = attempt(lambda: self.aliases(policy), damage)
        with suppress(Unavailable):  # a store that is away is no damage
            attempt(lambda: self.traffic(policy), damage)
        numbers = attempt(lambda: self.storage.numbers(policy), damage)
        unfinished = None if numbers is None else attempt(lambda: self.storage.unfinished(policy), damage)
        place = f"{self.location}/models/{policy}"
        notes = [f"{place}/{number} {why}" for number, why in (unfinished or {}).items()]
        return Inspection(state, numbers or [], tuple(damage), tuple(notes))

    def read(self, policy: str, version: int) -> PublishedVersion:
        """Returns a version's description without reading its files. NotFound, CorruptArtifact."""
        validate_policy_name(policy)
        content = None
        if 1 <= version <= versions.MAX_NUMBER:
            content = self.storage.read(policy, version, METADATA, versions.MAX_METADATA_BYTES)
        if content is None:
            there = ", ".join(map(str, self.versions(policy)))
            raise NotFound(f"no version {version} of {policy!r}; there are: {there}")
        return versions.decode(policy, version, content)

    def read_file(self, policy: str, version: int, name: str) -> bytes:
        """The verified bytes of one published file of a version. NotFound, CorruptArtifact."""
        return self.read_published(self.read(policy, version), name)

    def read_published(self, published: PublishedVersion, name: str) -> bytes:
        """The verified bytes of one published file. CorruptArtifact."""
        wanted = published.files.get(name)
        if wanted is None:
            raise CorruptArtifact(f"{published.path}/{METADATA} lists no {name}")
        content = self.storage.read(published.policy, published.version, name, versions.MAX_FILE_BYTES)
        if content is None:
            raise CorruptArtifact(f"{published.path}/{name} cannot be read: there is no such file")
        if (got := hashlib.sha256(content).hexdigest()) != wanted:
            message = f"{published.path}/{name} is damaged: its sha256 is {got}, published was {wanted}"
            raise CorruptArtifact(message)
        return content

    def verify(self, policy: str, version: int) -> PublishedVersion:
        """Reads all files of a version and checks their SHA-256.

        CorruptArtifact names the damaged one.
        """
        published = self.read(policy, version)
        for name in published.files:
            self.read_published(published, name)
        return published

    def read_model(self, policy: str, version: int) -> bytes:
        """The verified bytes of model.onnx. NotFound, CorruptArtifact."""
        return self.read_file(policy, version, MODEL)

    def find_job(self, policy: str, job_id: str) -> PublishedVersion | None:
        """Returns the version that a job published. None: it has published none so far."""
        validate_policy_name(policy)
        number = self.storage.find_job(policy, job_id) if job_id else None
        return None if number is None else self.read(policy, number)

    def verdict(self, policy: str, version: int) -> GateVerdict | None:
        """Returns the gate's last verdict on a version. None: it was never judged.

        NotFound, CorruptArtifact.
        """
        return self.verdict_of(self.read(policy, version))

    def verdict_of(self, published: PublishedVersion) -> GateVerdict | None:
        """Returns the gate's last verdict on a version. None: it was never judged.

        Raises CorruptArtifact if the file of the verdict is damaged.
        """
        number = verdicts.last_round(self.storage.names(published.policy, published.version))
        if number == 0:
            return None
        name = verdicts.file_name(number)
        content = self.storage.read(published.policy, published.version, name, versions.MAX_METADATA_BYTES)
        return verdicts.decode(f"{published.path}/{name}", content or b"")

    def added_files(self, published: PublishedVersion) -> list[str]:
        """Returns the names of the files that were added to a version after it was published."""
        names = self.storage.names(published.policy, published.version)
        return [name for name in names if name not in published.files and versions.is_file_name(name)]

    def read_added(self, published: PublishedVersion, name: str) -> bytes:
        """Returns the bytes of a file that was added to a version after it was published.

        NotFound; CorruptArtifact: it cannot be read.
        """
        content = None
        if versions.is_file_name(name):
            limit = versions.MAX_FILE_BYTES
            content = self.storage.read(published.policy, published.version, name, limit)
        if content is None:
            there = ", ".join(sorted({*published.files, *self.added_files(published)}))
            place = f"{published.policy} version {published.version}"
            raise NotFound(f"{place} has no file {name[:80]!r}; it has: {there}", reason="NO_SUCH_FILE")
        return content

    def aliases(self, policy: str) -> AliasState:
        """Returns the policy's aliases and their history; generation 0 if none was ever set.

        CorruptArtifact: the state is damaged.
        """
        return alias_format.decode(policy, self.storage.read_aliases(validate_policy_name(policy)))

    def traffic(self, policy: str) -> Traffic:
        """Returns which versions share the policy's aliases, and its canary. CorruptArtifact."""
        return traffic.decode(policy, self.storage.read_traffic(validate_policy_name(policy)))

    def in_use(self, policy: str) -> dict[int, str]:
        """Returns the versions in use, with the reason: an alias, a share, a shadow or a canary."""
        return uses(self.aliases(policy), self.traffic(policy))

    def stamps(self) -> Mapping[str, Hashable]:
        """Returns a value per policy, which changes with each publishing and each alias change."""
        return self.storage.stamps()

    def look_again(self) -> bool:
        """Asks the storage again, so that `stamps` and `policies` are up to date. See Storage."""
        return self.storage.look_again()

    def folders(self) -> list[Path]:
        """Local folders in which an entry changes with each stamp. Empty: poll the stamps."""
        return self.storage.folders()

    def absence(self) -> str | None:
        """Returns why there cannot be any version, as text. None: there is a place for versions."""
        return self.storage.absence()

    def _is_policy(self, name: str) -> bool:
        with suppress(CorruptArtifact):
            return self.storage.has_versions(name)
        return True  # it exists but is damaged, which `inspect` will report
