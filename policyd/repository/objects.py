"""A repository in object storage.

The same keys as the files on disk, and conditional writes for locks.

    models/<policy>/<version>/model.onnx, ...       put before the version exists
    models/<policy>/<version>/metadata.json         create-only and last: with it the version exists
    models/<policy>/claims/<version>                create-only: who may write the version
    models/<policy>/jobs/<digest of the job id>     create-only: which version a job publishes
    aliases/<policy>.json                           replaced on its ETag and generation
    aliases/<policy>.traffic                        the same: shares of aliases, and the canary
    aliases/<policy>.published                      another text after each publishing, for pollers

Nothing is renamed. A publisher that dies before its metadata leaves a claimed number without a
version. A poll is one listing of `aliases/`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

from policyd.errors import CorruptArtifact
from policyd.repository import alias_format, traffic, versions
from policyd.repository.names import POLICY_NAME
from policyd.repository.object_client import ObjectClient
from policyd.repository.object_jobs import JobDecision, JobDecisions
from policyd.repository.object_probe import require_conditions
from policyd.repository.records import CLAIMED, METADATA, MODEL, NOT_PUBLISHED
from policyd.repository.storage import Draft

_ALIASES = "aliases/"
_STATE, _PUBLISHED, _TRAFFIC = ".json", ".published", ".traffic"


class ObjectStorage:
    """Versions and alias states as objects. The store is tested before the first write."""

    def __init__(self, client: ObjectClient) -> None:
        self.client = client
        self._jobs = JobDecisions(client, self._is_there)
        self._probed = False

    @property
    def location(self) -> str:
        """The URL."""
        return self.client.location

    def policies(self) -> list[str]:
        """See Storage."""
        return sorted(self.stamps())

    def numbers(self, policy: str) -> list[int]:
        """See Storage."""
        return sorted(self._numbers(policy)[0])

    def has_versions(self, policy: str) -> bool:
        """See Storage."""
        return bool(self.numbers(policy))

    def unfinished(self, policy: str) -> Mapping[int, str]:
        """See Storage.

        Claimed numbers above the newest version are left out: their publishers are probably at
        work.
        """
        published, begun, claimed = self._numbers(policy)
        passed = {number for number in claimed - published if number < max(published, default=0)}
        missing = dict.fromkeys(begun - published - claimed, NOT_PUBLISHED) | dict.fromkeys(passed, CLAIMED)
        return dict(sorted(missing.items()))

    def names(self, policy: str, version: int) -> list[str]:
        """See Storage."""
        prefix = self._version(policy, version)
        return [key.removeprefix(prefix) for key, _ in self.client.entries(prefix)]

    def read(self, policy: str, version: int, name: str, limit: int) -> bytes | None:
        """See Storage."""
        found = self.client.get(self._version(policy, version) + name, limit)
        return None if found is None else found.content

    def find_job(self, policy: str, job_id: str) -> int | None:
        """See Storage.

        If a publisher died after its decision and before its metadata, its version is finished
        here.
        """
        decision = self._jobs.find(policy, job_id)
        if decision is None:
            return None
        self._commit(policy, decision.version, decision.metadata)
        return decision.version

    def publish(self, policy: str, draft: Draft) -> int:
        """See Storage."""
        self.prepare()
        contents = {
            name: source if isinstance(source, bytes) else Path(source).read_bytes()
            for name, source in draft.files.items()
        }
        if draft.job_id and (before := self.find_job(policy, draft.job_id)) is not None:
            self._announce(policy)
            return before
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        draft.describe(versions.MAX_NUMBER, digests)  # may refuse them, before anything is claimed
        number = self._claim_next(policy)
        for name, content in contents.items():
            self.client.put(self._version(policy, number) + name, content)
        metadata = draft.describe(number, digests)
        if draft.job_id:
            number, metadata = self._jobs.decide(policy, draft.job_id, JobDecision(number, metadata))
        self._commit(policy, number, metadata)
        self.client.put(f"models/{policy}/config.pbtxt", draft.config)
        self._announce(policy)
        return number

    def restore(self, policy: str, version: int, files: Mapping[str, bytes], config: bytes) -> bool:
        """See Storage. If a call was interrupted, another call with the same files completes it."""
        self.prepare()
        content = b"restored " + hashlib.sha256(files[METADATA]).hexdigest().encode()
        if not self.client.create(_claim_key(policy, version), content):
            return False
        if self.read(policy, version, METADATA, versions.MAX_METADATA_BYTES) is not None:
            return False
        for name in files.keys() - {METADATA}:
            self.client.put(self._version(policy, version) + name, files[name])
        self._commit(policy, version, files[METADATA])
        if version == max(self.numbers(policy)):
            self.client.put(f"models/{policy}/config.pbtxt", config)
        self._announce(policy)
        return True

    def add(self, policy: str, version: int, name: str, content: bytes, *, replace: bool = False) -> bool:
        """See Storage."""
        key = self._version(policy, version) + name
        if replace:
            self.client.put(key, content)
            return True
        self.prepare()
        return self.client.create(key, content)

    def remove(self, policy: str, version: int) -> bool:
        """See Storage. It deletes metadata.json first, and then the other objects.

        Without metadata.json it is not a version any more. The largest claim stays, because the
        next number follows from it.
        """
        self.prepare()
        prefix = self._version(policy, version)
        names = self.names(policy, version)
        for name in sorted(names, key=lambda name: name != METADATA):
            self.client.delete(prefix + name)
        if version < max([0, *self._numbers(policy)[2]]):
            self.client.delete(_claim_key(policy, version))
        self._announce(policy)
        return METADATA in names

    def read_aliases(self, policy: str) -> bytes | None:
        """See Storage."""
        found = self.client.get(f"{_ALIASES}{policy}{_STATE}", alias_format.MAX_BYTES)
        return None if found is None else found.content

    def read_traffic(self, policy: str) -> bytes | None:
        """See Storage."""
        found = self.client.get(f"{_ALIASES}{policy}{_TRAFFIC}", traffic.MAX_BYTES)
        return None if found is None else found.content

    def update_traffic(self, policy: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """See Storage."""
        self.prepare()
        self.client.update(f"{_ALIASES}{policy}{_TRAFFIC}", traffic.MAX_BYTES, change)

    def update_aliases(self, policy: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """See Storage."""
        self.prepare()
        self.client.update(f"{_ALIASES}{policy}{_STATE}", alias_format.MAX_BYTES, change)

    def stamps(self) -> Mapping[str, Hashable]:
        """See Storage. One listing."""
        stamps: dict[str, dict[str, str]] = {}
        for key, etag in self.client.entries(_ALIASES):
            name, dot, suffix = key.removeprefix(_ALIASES).partition(".")
            if f"{dot}{suffix}" in (_STATE, _PUBLISHED, _TRAFFIC) and POLICY_NAME.fullmatch(name):
                stamps.setdefault(name, {})[suffix] = etag
        return {name: tuple(sorted(found.items())) for name, found in stamps.items()}

    def look_again(self) -> bool:
        """See Storage. Always False, because nothing is remembered."""
        return False

    def folders(self) -> list[Path]:
        """See Storage."""
        return []

    def absence(self) -> str | None:
        """See Storage."""
        if self.client.folders("models/"):
            return None
        return f"the repository {self.location} holds no version: is --repository right, or is it new?"

    def sweep(self) -> int:
        """See Storage. It also announces policies whose first publisher died before it did so."""
        announced = self.stamps()
        repaired = 0
        for policy in self.client.folders("models/"):
            if POLICY_NAME.fullmatch(policy) and policy not in announced and self.numbers(policy):
                self._announce(policy)
                repaired += 1
        return repaired

    def prepare(self) -> None:
        """Tests, once, that the store honours conditions.

        Raises FailedPrecondition if it does not, because writers could then lose each other's
        changes.
        """
        if not self._probed:
            require_conditions(self.client)
            self._probed = True

    def _numbers(self, policy: str) -> tuple[set[int], set[int], set[int]]:
        """Returns three sets of numbers: with metadata, with any file, and claimed ones."""
        published, begun, claimed = set(), set(), set()
        prefix = f"models/{policy}/"
        for key, _ in self.client.entries(prefix):
            folder, _, name = key.removeprefix(prefix).partition("/")
            if folder == "claims" and versions.is_number(name):
                claimed.add(int(name))
            elif versions.is_number(folder) and name:
                begun.add(int(folder))
                if name == METADATA:
                    published.add(int(folder))
        return published, begun, claimed

    def _claim_next(self, policy: str) -> int:
        published, begun, claimed = self._numbers(policy)
        number = 1 + max([0, *published, *begun, *claimed])
        mine = uuid.uuid4().hex.encode()
        while not self.client.create(_claim_key(policy, number), mine):
            number += 1
        return number

    def _commit(self, policy: str, number: int, metadata: bytes) -> None:
        if not self.client.create(self._version(policy, number) + METADATA, metadata):
            place = f"{self.location}: models/{policy}/{number}/{METADATA}"
            raise CorruptArtifact(f"{place} is of another publisher, which had not claimed the number")

    def _announce(self, policy: str) -> None:
        self.client.put(f"{_ALIASES}{policy}{_PUBLISHED}", uuid.uuid4().hex.encode())

    def _is_there(self, policy: str, number: int) -> bool:
        """Whether the version's model is there; an operator may have deleted it."""
        prefix = self._version(policy, number)
        return any(key == prefix + MODEL for key, _ in self.client.entries(prefix))

    @staticmethod
    def _version(policy: str, version: int) -> str:
        return f"models/{policy}/{version}/"


def _claim_key(policy: str, version: int) -> str:
    return f"models/{policy}/claims/{version}"
