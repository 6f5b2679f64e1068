"""A repository in a folder.

    <root>/models/<policy>/<version>/model.onnx, metadata.json, ...  immutable
    <root>/models/<policy>/config.pbtxt    Triton's view of the newest version
    <root>/aliases/<policy>.json           generation, aliases, history
    <root>/aliases/<policy>.traffic        shares of aliases, and the canary
    <root>/staging/                        versions that are being put together

Every change is one rename, so readers need no lock and may mount `models` read-only. Writers of one
policy take turns by a lock file, which the kernel releases when its holder dies.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from policyd import temporary
from policyd.errors import CorruptArtifact
from policyd.repository import alias_format, staging, traffic, versions
from policyd.repository.durable import (
    disk_errors,
    locked,
    make_directory,
    replace_file,
    sync_directory,
    write_file,
)
from policyd.repository.names import POLICY_NAME
from policyd.repository.reading import entries, is_file, read_file
from policyd.repository.records import METADATA, NOT_PUBLISHED
from policyd.repository.stamps import read_stamps
from policyd.repository.storage import Draft

_LAST_NUMBER = "last_version"


class DiskStorage:
    """Versions and alias states below `root`. The folder is created by the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._models = root / "models"
        self._alias_folder = root / "aliases"
        self._staging = root / "staging"

    @property
    def location(self) -> str:
        """The folder's path."""
        return str(self.root)

    def policies(self) -> list[str]:
        """Returns every entry of `models` whose name may be a policy's, of whatever kind."""
        return [name for name in entries(self._models) if POLICY_NAME.fullmatch(name)]

    def numbers(self, policy: str) -> list[int]:
        """See Storage."""
        return [n for n in self._taken(policy) if is_file(self._version(policy, n) / METADATA)]

    def has_versions(self, policy: str) -> bool:
        """See Storage."""
        return bool(self.numbers(policy))

    def unfinished(self, policy: str) -> Mapping[int, str]:
        """See Storage."""
        taken = self._taken(policy)
        return {n: NOT_PUBLISHED for n in taken if not is_file(self._version(policy, n) / METADATA)}

    def names(self, policy: str, version: int) -> list[str]:
        """See Storage."""
        return entries(self._version(policy, version))

    def read(self, policy: str, version: int, name: str, limit: int) -> bytes | None:
        """See Storage."""
        return read_file(self._version(policy, version) / name, limit)

    def find_job(self, policy: str, job_id: str) -> int | None:
        """See Storage."""
        for number in reversed(self.numbers(policy)):
            with suppress(CorruptArtifact):  # a damaged version does not belong to this job
                content = self.read(policy, number, METADATA, versions.MAX_METADATA_BYTES)
                if content is not None and versions.decode(policy, number, content).job_id == job_id:
                    return number
        return None

    def publish(self, policy: str, draft: Draft) -> int:
        """See Storage. The version is put together in staging and appears by one rename."""
        with disk_errors(self.root), staging.staging_directory(self._staging) as stage:
            digests = {name: _stage(stage / name, source) for name, source in draft.files.items()}
            with self._policy_lock(policy) as home:
                if draft.job_id and (before := self.find_job(policy, draft.job_id)) is not None:
                    return before
                number = self._next_number(policy)
                _stage(stage / METADATA, draft.describe(number, digests))
                self._appear(stage, home, number, draft.config)
        return number

    def restore(self, policy: str, version: int, files: Mapping[str, bytes], config: bytes) -> bool:
        """See Storage."""
        with disk_errors(self.root), staging.staging_directory(self._staging) as stage:
            for name, content in files.items():
                _stage(stage / name, content)
            with self._policy_lock(policy) as home:
                taken = self._taken(policy)
                if version in taken:
                    return False
                last = max([0, *taken])
                self._appear(stage, home, version, config if version > last else None)
        return True

    def add(self, policy: str, version: int, name: str, content: bytes, *, replace: bool = False) -> bool:
        """See Storage."""
        with disk_errors(self.root), self._policy_lock(policy):
            path = self._version(policy, version) / name
            if not replace and os.path.lexists(path):
                return False
            replace_file(path, content)
        return True

    def remove(self, policy: str, version: int) -> bool:
        """See Storage. One rename hides the version; its files are deleted after that."""
        with (
            disk_errors(self.root),
            staging.staging_directory(self._staging) as stage,
            self._policy_lock(policy) as home,
        ):
            if not (home / str(version)).is_dir():
                return False
            (home / str(version)).rename(stage / str(version))
            sync_directory(home)
        return True

    def read_aliases(self, policy: str) -> bytes | None:
        """See Storage."""
        return read_file(self._alias_folder / f"{policy}.json", alias_format.MAX_BYTES)

    def read_traffic(self, policy: str) -> bytes | None:
        """See Storage."""
        return read_file(self._alias_folder / f"{policy}.traffic", traffic.MAX_BYTES)

    def update_aliases(self, policy: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """See Storage."""
        with self._alias_lock(policy):
            after = change(self.read_aliases(policy))
            if after is not None:
                replace_file(self._alias_folder / f"{policy}.json", after)

    def update_traffic(self, policy: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """See Storage."""
        with self._alias_lock(policy):
            after = change(self.read_traffic(policy))
            if after is not None:
                replace_file(self._alias_folder / f"{policy}.traffic", after)

    def stamps(self) -> Mapping[str, Hashable]:
        """See Storage."""
        return read_stamps(self._models, self._alias_folder)

    def look_again(self) -> bool:
        """See Storage. Always False, because nothing is remembered."""
        return False

    def folders(self) -> list[Path]:
        """See Storage."""
        if not self._models.is_dir():
            return []
        homes = [self._models / policy for policy in self.policies()]
        return [self.root, self._alias_folder, self._models, *homes]

    def absence(self) -> str | None:
        """See Storage."""
        if self._models.is_dir():
            return None
        if not self.root.is_dir():
            return f"the repository {self.root} does not exist: is --repository right?"
        return f"the repository {self.root} has no folder `models`: is --repository right, or is it new?"

    def prepare(self) -> None:
        """See Storage. Nothing to check: every file system has renames and locks."""

    def sweep(self) -> int:
        """See Storage."""
        return temporary.sweep(self._staging)

    @contextmanager
    def _alias_lock(self, policy: str) -> Iterator[None]:
        with disk_errors(self.root):
            make_directory(self._alias_folder)
            with locked(self._alias_folder / f".{policy}.lock"):
                yield

    @contextmanager
    def _policy_lock(self, policy: str) -> Iterator[Path]:
        make_directory(home := self._models / policy)
        with locked(home / ".lock"):
            yield home

    def _appear(self, stage: Path, home: Path, number: int, config: bytes | None) -> None:
        sync_directory(stage)
        if config is not None:
            replace_file(home / "config.pbtxt", config)
        stage.rename(home / str(number))
        sync_directory(home)
        replace_file(home / _LAST_NUMBER, str(max(number, self._last_number(home))).encode())

    def _version(self, policy: str, version: int) -> Path:
        return self._models / policy / str(version)

    def _taken(self, policy: str) -> list[int]:
        return sorted(int(name) for name in entries(self._models / policy) if versions.is_number(name))

    def _next_number(self, policy: str) -> int:
        return 1 + max([*self._taken(policy), self._last_number(self._models / policy)])

    @staticmethod
    def _last_number(home: Path) -> int:
        """Returns the last number that was used.

        A file keeps it even if the version was deleted.
        """
        content = read_file(home / _LAST_NUMBER, 100)
        if content is None:
            return 0
        if not versions.is_number(text := content.decode(errors="replace").strip()):
            message = (
                f"{home / _LAST_NUMBER} is damaged: write the largest number that was ever published there"
            )
            raise CorruptArtifact(message)
        return int(text)


def _stage(target: Path, source: Path | bytes) -> str:
    """Writes one file durably and read-only. Returns its SHA-256."""
    if isinstance(source, bytes):
        write_file(target, source)
        digest = hashlib.sha256(source).hexdigest()
    else:
        digest = _copy(source, target)
    target.chmod(0o444)
    return digest


def _copy(source: Path, target: Path) -> str:
    with source.open("rb") as reader, target.open("w+b") as writer:
        shutil.copyfileobj(reader, writer)
        writer.flush()
        os.fsync(writer.fileno())
        writer.seek(0)
        return hashlib.file_digest(writer, "sha256").hexdigest()
