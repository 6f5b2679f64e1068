"""The model repository: publishing versions, changing aliases and traffic, removing versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.gate_pb2 import GateVerdict
from policy_api.v1.traffic_pb2 import Traffic
from policyd.errors import FailedPrecondition, InvalidArgument, NotFound
from policyd.repository import aliases, triton, verdicts, versions
from policyd.repository.changes import changed_aliases, changed_traffic
from policyd.repository.names import validate_alias_name, validate_policy_name
from policyd.repository.reader import RepositoryReader
from policyd.repository.records import METADATA, AliasState, PublishedVersion
from policyd.repository.storage import Draft


class ModelRepository(RepositoryReader):
    """Published versions and aliases at a location, read and changed."""

    def publish(
        self,
        policy: str,
        files: Mapping[str, Path | bytes],
        *,
        metadata: PolicyMetadata,
        job_id: str = "",
    ) -> PublishedVersion:
        """Publishes the files as the policy's next version, as a whole.

        A second call with the same non-empty `job_id` returns the version of the first. Raises
        InvalidArgument for wrong names or metadata, Exhausted if the disk is full, and
        FailedPrecondition if the repository cannot be written.
        """
        validate_policy_name(policy)
        if metadata.policy != policy:
            raise InvalidArgument.of("metadata.policy", got=repr(metadata.policy), wanted=repr(policy))
        versions.check_file_names(files)

        def describe(number: int, digests: Mapping[str, str]) -> bytes:
            return versions.encode(number, digests, metadata, job_id)

        draft = Draft(files, triton.model_config(metadata).encode(), job_id, describe)
        return self.read(policy, self.storage.publish(policy, draft))

    def add_verdict(self, policy: str, version: int, verdict: GateVerdict) -> None:
        """Adds the verdict of a later comparison to a published version."""
        published = self.read(policy, version)
        number = verdicts.last_round(self.storage.names(policy, version)) + 1
        while not self.storage.add(
            policy, published.version, verdicts.file_name(number), verdicts.encode(verdict)
        ):
            number += 1

    def add_files(self, policy: str, version: int, files: Mapping[str, bytes]) -> None:
        """Adds files, such as a report, to a published version, in the given order.

        They do not belong to what was published, so metadata.json does not list them. Raises
        NotFound if there is no such version, and InvalidArgument if the version has a published
        file of that name.
        """
        published = self.read(policy, version)
        if taken := sorted({*published.files, METADATA} & files.keys()):
            raise InvalidArgument.of("files", got=taken, wanted="names that the version does not have")
        for name, content in files.items():
            self.storage.add(policy, version, name, content, replace=True)

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
        """Points `alias` at `version`. Nothing changes if it names that version already.

        NotFound, Conflict.
        """
        validate_alias_name(alias)
        self.read(policy, version)

        def point(state: AliasState) -> AliasState:
            self.read(policy, version)  # it may have been removed since the caller looked
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

    def change_traffic(
        self, policy: str, change: Callable[[Traffic], Traffic], expected_generation: int | None = None
    ) -> Traffic:
        """Replaces the traffic by the result of `change`. Nothing is written if that is the same.

        Raises Conflict if `expected_generation` is given and is not its generation.
        """
        validate_policy_name(policy)
        return changed_traffic(self.storage, policy, change, expected_generation)

    def remove(self, policy: str, version: int) -> bool:
        """Removes a version that is not in use. False: there is none.

        Servers that have loaded it keep it in memory. Its number is never used again.

        Raises FailedPrecondition if an alias names it, or if it has a share of one.
        """
        removed = False

        def unless_used(_: bytes | None) -> None:  # called while the aliases are locked
            nonlocal removed
            if (by := self.in_use(policy).get(version)) is not None:
                message = f"{policy} version {version} is named by {by}: change that first"
                raise FailedPrecondition(message, reason="VERSION_IN_USE")
            removed = self.storage.remove(policy, version)

        self.storage.update_aliases(validate_policy_name(policy), unless_used)
        return removed

    def prepare(self) -> None:
        """Tests, once, that changes are safe here.

        Raises FailedPrecondition if a store does not honour conditions, or refuses access.
        """
        self.storage.prepare()

    def sweep(self) -> int:
        """Deletes what publishers that died left behind. Returns the number of leftovers."""
        return self.storage.sweep()

    def _require_target(self, policy: str, version: int) -> None:
        try:
            self.read(policy, version)
        except NotFound as error:
            message = f"{policy} version {version}, to which the alias would go back, is no longer there"
            raise FailedPrecondition(message) from error
