"""The model repository: published versions, their aliases, and their verification.

The format is here and in the modules of its parts; `Storage` says where the bytes are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from pathlib import Path

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.gate_pb2 import GateVerdict
from policy_api.v1.traffic_pb2 import Traffic
from policyd.errors import CorruptArtifact, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from policyd.repository import alias_format, aliases, traffic, triton, verdicts, versions
from policyd.repository.changes import changed_aliases, changed_traffic, uses
from policyd.repository.disk import DiskStorage
from policyd.repository.inspection import Inspection, attempt
from policyd.repository.names import validate_alias_name, validate_policy_name
from policyd.repository.open import open_storage
from policyd.repository.records import METADATA, MODEL, AliasState, PublishedVersion
from policyd.repository.storage import Draft, Storage


class ModelRepository:
    """Published versions and aliases at a location: a folder, or a URL of object storage."""

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
        """Looks at everything that the policy has.

        Damage is collected instead of raised.
        """
        validate_policy_name(policy)
        damage: list[str] = []
        state = attempt(lambda: self.aliases(policy), damage)
        with suppress(Unavailable):  # what is out of reach is not damaged
            attempt(lambda: self.traffic(policy), damage)
        numbers = attempt(lambda: self.storage.numbers(policy), damage)
        unfinished = None if numbers is None else attempt(lambda: self.storage.unfinished(policy), damage)
        place = f"{self.location}/models/{policy}"
        notes = [f"{place}/{number} {why}" for number, why in (unfinished or {}).items()]
        return Inspection(state, numbers or [], tuple(damage), tuple(notes))

    def read(self, policy: str, version: int) -> PublishedVersion:
        """A version's description, its bytes unread. NotFound, CorruptArtifact."""
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

    def publish(
        self,
        policy: str,
        files: Mapping[str, Path | bytes],
        *,
        metadata: PolicyMetadata,
        job_id: str = "",
    ) -> PublishedVersion:
        """Publishes the files as the policy's next version, whole or not at all.

        The same non-empty `job_id` again answers the version that it published before.
        InvalidArgument: names or metadata; Exhausted: the disk is full; FailedPrecondition: it
        cannot be written.
        """
        validate_policy_name(policy)
        if metadata.policy != policy:
            raise InvalidArgument.of("metadata.policy", got=repr(metadata.policy), wanted=repr(policy))
        versions.check_file_names(files)

        def describe(number: int, digests: Mapping[str, str]) -> bytes:
            return versions.encode(number, digests, metadata, job_id)

        draft = Draft(files, triton.model_config(metadata).encode(), job_id, describe)
        return self.read(policy, self.storage.publish(policy, draft))

    def find_job(self, policy: str, job_id: str) -> PublishedVersion | None:
        """The version that a job published; None where it published none (yet)."""
        validate_policy_name(policy)
        number = self.storage.find_job(policy, job_id) if job_id else None
        return None if number is None else self.read(policy, number)

    def verdict(self, policy: str, version: int) -> GateVerdict | None:
        """The gate's last verdict on a version; None: it was never judged.

        NotFound, CorruptArtifact.
        """
        return self.verdict_of(self.read(policy, version))

    def verdict_of(self, published: PublishedVersion) -> GateVerdict | None:
        """The gate's last verdict on a version; None: it was never judged. CorruptArtifact."""
        number = verdicts.last_round(self.storage.names(published.policy, published.version))
        if number == 0:
            return None
        name = verdicts.file_name(number)
        content = self.storage.read(published.policy, published.version, name, versions.MAX_METADATA_BYTES)
        return verdicts.decode(f"{published.path}/{name}", content or b"")

    def add_verdict(self, policy: str, version: int, verdict: GateVerdict) -> None:
        """Keeps the verdict of a later round beside a published version."""
        published = self.read(policy, version)
        number = verdicts.last_round(self.storage.names(policy, version)) + 1
        while not self.storage.add(
            policy, published.version, verdicts.file_name(number), verdicts.encode(verdict)
        ):
            number += 1

    def add_files(self, policy: str, version: int, files: Mapping[str, bytes]) -> None:
        """Puts files beside a published version, in this order: its report, for example.

        They are no part of what was published, so metadata.json does not list them. NotFound: no
        such version; InvalidArgument: the version has a published file of that name.
        """
        published = self.read(policy, version)
        if taken := sorted({*published.files, METADATA} & files.keys()):
            raise InvalidArgument.of("files", got=taken, wanted="names that the version does not have")
        for name, content in files.items():
            self.storage.add(policy, version, name, content, replace=True)

    def added_files(self, published: PublishedVersion) -> list[str]:
        """Names of the files that were put beside a version after it was published."""
        names = self.storage.names(published.policy, published.version)
        return [name for name in names if name not in published.files and versions.is_file_name(name)]

    def read_added(self, published: PublishedVersion, name: str) -> bytes:
        """The bytes of a file that was put beside a version.

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
        """The policy's aliases and their history; generation 0 where none was ever set.

        CorruptArtifact.
        """
        return alias_format.decode(policy, self.storage.read_aliases(validate_policy_name(policy)))

    def set_alias(
        self,
        policy: str,
        alias: str,
        version: int,
        *,
        actor: str,
        reason: str,
        expected_generation: int | None = None,
    ) -> AliasState:
        """Points `alias` at `version`; nothing changes where it names it already.

        NotFound, Conflict.
        """
        validate_alias_name(alias)
        self.read(policy, version)

        def point(state: AliasState) -> AliasState:
            self.read(policy, version)  # it may have been removed while others changed the aliases
            return aliases.with_set(state, alias, version, actor=actor, reason=reason)

        return changed_aliases(self.storage, policy, point, expected_generation)

    def rollback_alias(
        self, policy: str, alias: str, *, actor: str, reason: str, expected_generation: int | None = None
    ) -> AliasState:
        """Points `alias` back one step of its history. FailedPrecondition, Conflict, NotFound."""
        validate_alias_name(alias)
        self.versions(policy)

        def step_back(state: AliasState) -> AliasState:
            changed = aliases.with_rollback(state, alias, actor=actor, reason=reason)
            self._require_target(policy, changed.aliases[alias])
            return changed

        return changed_aliases(self.storage, policy, step_back, expected_generation)

    def traffic(self, policy: str) -> Traffic:
        """Which versions share the policy's aliases, and its canary. CorruptArtifact."""
        return traffic.decode(policy, self.storage.read_traffic(validate_policy_name(policy)))

    def change_traffic(
        self, policy: str, change: Callable[[Traffic], Traffic], expected_generation: int | None = None
    ) -> Traffic:
        """Replaces the traffic by what `change` makes of it; the same one stays. Conflict."""
        validate_policy_name(policy)
        return changed_traffic(self.storage, policy, change, expected_generation)

    def in_use(self, policy: str) -> dict[int, str]:
        """The versions that an alias names, that share or shadow one, and the canary's."""
        return uses(self.aliases(policy), self.traffic(policy))

    def remove(self, policy: str, version: int) -> bool:
        """Removes a version that is not in use; False: there is none.

        Whoever has loaded it goes on with it. Its number is never used again.

        FailedPrecondition: an alias names it, or it has a share of one.
        """
        removed = False

        def unless_used(_: bytes | None) -> None:  # under the lock of the aliases
            nonlocal removed
            if (by := self.in_use(policy).get(version)) is not None:
                message = f"{policy} version {version} is named by {by}: change that first"
                raise FailedPrecondition(message, reason="VERSION_IN_USE")
            removed = self.storage.remove(policy, version)

        self.storage.update_aliases(validate_policy_name(policy), unless_used)
        return removed

    def stamps(self) -> Mapping[str, Hashable]:
        """Per policy a value that differs after each publishing and each change of an alias.

        For pollers.
        """
        return self.storage.stamps()

    def look_again(self) -> bool:
        """Makes `stamps` and `policies` as new as can be. False: they are, or it is too soon."""
        return self.storage.look_again()

    def folders(self) -> list[Path]:
        """Local folders in which an entry changes whenever a stamp does. Empty: poll the stamps."""
        return self.storage.folders()

    def absence(self) -> str | None:
        """Why there can be no version at all, for people; None: there is a place for them."""
        return self.storage.absence()

    def prepare(self) -> None:
        """Makes sure, once, that changes are safe here.

        FailedPrecondition: a store that does not honour conditions, or that refuses access.
        """
        self.storage.prepare()

    def sweep(self) -> int:
        """Removes what publishers that died left behind. Returns how many leftovers there were."""
        return self.storage.sweep()

    def _is_policy(self, name: str) -> bool:
        with suppress(CorruptArtifact):
            return self.storage.has_versions(name)
        return True  # damaged: it is there, and a look at it says what is wrong

    def _require_target(self, policy: str, version: int) -> None:
        try:
            self.read(policy, version)
        except NotFound as error:
            message = f"{policy} version {version}, to which the alias would go back, is no longer there"
            raise FailedPrecondition(message) from error
