"""The model repository: one folder that a trainer writes and servers read.

    <root>/models/<policy>/<version>/model.onnx, metadata.json, ...    immutable
    <root>/models/<policy>/config.pbtxt                               Triton's words for the newest version
    <root>/aliases/<policy>.json                                      generation, aliases, history
    <root>/staging/                                                   versions that are being put together

Every change is one rename, so readers need no lock and may mount `models` read-only. Writers of one policy
take turns by a lock file, which the kernel releases when its holder dies.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from policy_api.errors import CorruptArtifact, FailedPrecondition, InvalidArgument, NotFound
from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.gate_pb2 import GateVerdict
from repository import aliases, staging, triton, verdicts, versions
from repository.alias_files import AliasFiles
from repository.durable import disk_errors, locked, make_directory, replace_file, sync_directory
from repository.names import POLICY_NAME, validate_alias_name, validate_policy_name
from repository.records import MODEL, AliasState, PublishedVersion
from repository.stamps import read_stamps

_LAST_NUMBER = "last_version"


class ModelRepository:
    """Published versions and aliases below `root`, which need not exist before the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._models = root / "models"
        self._aliases_directory = root / "aliases"
        self._aliases = AliasFiles(self._aliases_directory)
        self._staging = root / "staging"

    def policies(self) -> list[str]:
        """Names of the policies that have a version, ascending."""
        if not self._models.is_dir():
            return []
        names = [path.name for path in self._models.iterdir() if POLICY_NAME.fullmatch(path.name)]
        return sorted(name for name in names if self._versions(name))

    def versions(self, policy: str) -> list[int]:
        """Published numbers, ascending. NotFound: no such policy."""
        found = self._versions(validate_policy_name(policy))
        if not found:
            there = ", ".join(self.policies()) or "none"
            raise NotFound(f"no policy {policy!r}; there are: {there}")
        return found

    def read(self, policy: str, version: int) -> PublishedVersion:
        """A version's description, its bytes unread. NotFound, CorruptArtifact."""
        directory = self._directory(policy, version)
        if not versions.is_version(directory):
            there = ", ".join(map(str, self.versions(policy)))
            raise NotFound(f"no version {version} of {policy!r}; there are: {there}")
        return versions.read_version(directory, policy=policy, version=version)

    def verify(self, policy: str, version: int) -> PublishedVersion:
        """Reads all files of a version and checks their SHA-256. CorruptArtifact names the damaged one."""
        published = self.read(policy, version)
        for name in versions.file_digests(published.directory):
            versions.read_verified(published.directory, name)
        return published

    def read_model(self, policy: str, version: int) -> bytes:
        """The verified bytes of model.onnx. NotFound, CorruptArtifact."""
        return versions.read_verified(self.read(policy, version).directory, MODEL)

    def publish(
        self,
        policy: str,
        files: Mapping[str, Path | bytes],
        *,
        metadata: PolicyMetadata,
        job_id: str = "",
    ) -> PublishedVersion:
        """Publishes the files as the policy's next version, whole or not at all.

        The same non-empty `job_id` again answers the version that it published before. InvalidArgument:
        names or metadata; Exhausted: the disk is full; FailedPrecondition: it cannot be written.
        """
        validate_policy_name(policy)
        if metadata.policy != policy:
            raise InvalidArgument.of("metadata.policy", got=repr(metadata.policy), wanted=repr(policy))
        config = triton.model_config(metadata).encode()
        with disk_errors(self.root), staging.staging_directory(self._staging) as stage:
            digests = versions.stage_files(stage, files)
            make_directory(home := self._models / policy)
            with locked(home / ".lock"):
                if (before := self._find_job(policy, job_id)) is not None:
                    return before
                number = self._next_number(home)
                versions.write_metadata(
                    stage, version=number, digests=digests, metadata=metadata, job_id=job_id
                )
                sync_directory(stage)
                replace_file(home / "config.pbtxt", config)
                stage.rename(home / str(number))
                sync_directory(home)
                replace_file(home / _LAST_NUMBER, str(number).encode())
        return self.read(policy, number)

    def find_job(self, policy: str, job_id: str) -> PublishedVersion | None:
        """The version that a job published; None where it published none (yet)."""
        return self._find_job(validate_policy_name(policy), job_id)

    def verdict(self, policy: str, version: int) -> GateVerdict | None:
        """The gate's last verdict on a version; None: it was never judged. NotFound, CorruptArtifact."""
        return verdicts.latest(self.read(policy, version).directory)

    def add_verdict(self, policy: str, version: int, verdict: GateVerdict) -> None:
        """Keeps the verdict of a later round beside a published version."""
        directory = self.read(policy, version).directory
        with disk_errors(self.root), locked(directory.parent / ".lock"):
            name = verdicts.file_name(verdicts.last_round(directory) + 1)
            replace_file(directory / name, verdicts.encode(verdict))

    def aliases(self, policy: str) -> AliasState:
        """The policy's aliases and their history; generation 0 where none was ever set."""
        return self._aliases.read(validate_policy_name(policy))

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
        """Points `alias` at `version`; nothing changes where it names it already. NotFound, Conflict."""
        validate_alias_name(alias)
        self.read(policy, version)
        with disk_errors(self.root):
            return self._aliases.update(
                policy,
                lambda state: aliases.with_set(state, alias, version, actor=actor, reason=reason),
                expected_generation=expected_generation,
            )

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

        with disk_errors(self.root):
            return self._aliases.update(policy, step_back, expected_generation=expected_generation)

    def stamps(self) -> Mapping[str, tuple[int, ...]]:
        """Per policy a value that differs after each publishing and each change of an alias: for pollers."""
        return read_stamps(self._models, self._aliases_directory)

    def sweep(self) -> int:
        """Removes what publishers that died left in staging. Answers how many folders."""
        return staging.sweep(self._staging)

    def _directory(self, policy: str, version: int) -> Path:
        return self._models / validate_policy_name(policy) / str(version)

    def _versions(self, policy: str) -> list[int]:
        home = self._models / policy
        return [number for number in versions.numbers(home) if versions.is_version(home / str(number))]

    def _find_job(self, policy: str, job_id: str) -> PublishedVersion | None:
        if not job_id:
            return None
        for number in reversed(self._versions(policy)):
            with suppress(CorruptArtifact):  # someone else's damage does not hinder this job
                if (version := self.read(policy, number)).job_id == job_id:
                    return version
        return None

    @staticmethod
    def _next_number(home: Path) -> int:
        # The file remembers numbers whose folders an operator has deleted since.
        last = home / _LAST_NUMBER
        return 1 + max([*versions.numbers(home), int(last.read_text()) if last.exists() else 0])

    def _require_target(self, policy: str, version: int) -> None:
        try:
            self.read(policy, version)
        except NotFound as error:
            message = f"{policy} version {version}, to which the alias would go back, is no longer there"
            raise FailedPrecondition(message) from error
