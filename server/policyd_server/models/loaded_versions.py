"""Which version answers: what aliases serve, and further versions on request.

Tables are replaced, never changed, so that any thread may look things up without a lock, and a
request that has found its version keeps it until it is answered, whatever is swapped meanwhile.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from policyd_server.models.splits import Split, identity
from policyd_server.models.version import LoadedVersion

DEFAULT_ALIAS = "champion"


class LoadedVersions:
    """The versions in memory."""

    def __init__(self, extra_versions: int) -> None:
        self._extra_versions = extra_versions  # kept in memory besides those that aliases serve
        self._lock = threading.Lock()
        self._aliases: dict[str, Mapping[str, LoadedVersion]] = {}
        self._extra: OrderedDict[tuple[str, int], LoadedVersion] = OrderedDict()
        self._splits: dict[str, Mapping[str, Split]] = {}
        self._failed: set[tuple[str, int, str]] = set()  # versions that lost their share because they failed
        self._split_by_alias: dict[tuple[str, str], Split] = {}
        # By (policy, alias) as a request may name them, including empty names for the defaults.
        self._by_alias: dict[tuple[str, str], LoadedVersion] = {}
        self._by_version: dict[tuple[str, int], LoadedVersion] = {}
        # Requests that a reader has recognised with these tables. Replaced together with them.
        self.found: dict[bytes, Any] = {}
        self._only_policy: str | None = None  # the policy of a request without a name, if there is only one

    def serving(self, policy: str) -> Mapping[str, LoadedVersion]:
        """Returns the version that each alias of a policy serves."""
        return self._aliases.get(policy, MappingProxyType({}))

    def splits(self, policy: str) -> Mapping[str, Split]:
        """Returns the policy's aliases that several versions share."""
        return self._splits.get(policy, MappingProxyType({}))

    def split(self, policy: str, version: int | None, alias: str) -> Split | None:
        """Returns the split of the alias that a request names. None: one version answers."""
        return None if version is not None else self._split_by_alias.get((policy, alias))

    def by_alias(self, policy: str, alias: str, key: str = "") -> LoadedVersion | None:
        """Returns the version that an alias serves; an empty name means the default alias.

        None: not in memory. Where versions share the alias, `key` decides which of them.
        """
        split = self._split_by_alias.get((policy, alias))
        return self._by_alias.get((policy, alias)) if split is None else split.pick(key)

    def by_version(self, policy: str, version: int) -> LoadedVersion | None:
        """Returns a version if it is in memory. An empty policy means the only one."""
        return self._by_version.get((policy or self._only_policy or "", version))

    def at_hand(self, policy: str, version: int | None, alias: str, key: str = "") -> LoadedVersion | None:
        """Returns the version that a request names, if it is in memory.

        `version` None: the alias decides. Empty names mean the defaults.
        """
        return self.by_alias(policy, alias, key) if version is None else self.by_version(policy, version)

    def only(self, policy: str, version: int | None, alias: str) -> LoadedVersion | None:
        """As `at_hand`, but None if several versions share the alias."""
        return None if self.split(policy, version, alias) else self.at_hand(policy, version, alias)

    def loaded(self, policy: str) -> set[int]:
        """Returns the numbers of a policy's versions in memory."""
        return {version for name, version in self._by_version if name == policy}

    def set_policies(self, policies: list[str]) -> None:
        """Sets which policies the repository has."""
        with self._lock:
            self._only_policy = policies[0] if len(policies) == 1 else None
            self._rebuild()

    def swap(
        self, policy: str, aliases: Mapping[str, LoadedVersion], splits: Mapping[str, Split] | None = None
    ) -> None:
        """Makes the aliases of `policy` serve these versions, and share `splits`, from now on."""
        with self._lock:
            unsplit = {name: shared for name, shared in self._splits.items() if name != policy}
            self._splits = {**unsplit, policy: MappingProxyType(dict(splits))} if splits else unsplit
            others = {name: serving for name, serving in self._aliases.items() if name != policy}
            self._aliases = {**others, policy: MappingProxyType(dict(aliases))} if aliases else others
            self._rebuild()

    def fail(self, loaded: LoadedVersion) -> bool:
        """Removes a version's shares on this server, because it cannot compute. From any thread.

        False: it has no share.
        """
        with self._lock:
            shared = self._splits.get(loaded.policy, {}).values()
            if all(loaded is not each for split in shared for _, each in split.shares):
                return False
            if identity(loaded) in self._failed:
                return False
            self._failed.add(identity(loaded))
            self._rebuild()
        return True

    def failed(self, policy: str) -> set[int]:
        """Returns the policy's versions that failed while they had a share."""
        return {version for name, version, _ in self._failed if name == policy}

    def forgive(self, policy: str, shared: Collection[int] = ()) -> None:
        """Forgets which of the policy's versions failed, except those that still have a share.

        The others may get a share again.
        """
        with self._lock:
            kept = {each for each in self._failed if each[0] != policy or each[1] in shared}
            if kept != self._failed:
                self._failed = kept
                self._rebuild()

    def keep(self, loaded: LoadedVersion) -> None:
        """Keeps a version that was requested by number.

        If there are too many, the one that was kept first is dropped.
        """
        with self._lock:
            key = (loaded.policy, loaded.version)
            self._extra[key] = loaded
            self._extra.move_to_end(key)
            while len(self._extra) > self._extra_versions:
                self._extra.popitem(last=False)
            self._rebuild()

    def by_number(self, policy: str) -> list[LoadedVersion]:
        """Returns a policy's versions that were requested by number."""
        return [loaded for (name, _), loaded in list(self._extra.items()) if name == policy]

    def drop(self, loaded: LoadedVersion) -> None:
        """Drops a version that was requested by number.

        Requests in flight keep it until they are answered.
        """
        with self._lock:
            if self._extra.get((loaded.policy, loaded.version)) is loaded:
                del self._extra[loaded.policy, loaded.version]
            self._rebuild()

    def forget(self, policy: str) -> None:
        """Drops a policy's versions that no alias points to. Requests in flight keep theirs."""
        with self._lock:
            for key in [key for key in self._extra if key[0] == policy]:
                del self._extra[key]
            self._rebuild()

    def _rebuild(self) -> None:
        by_alias: dict[tuple[str, str], LoadedVersion] = {}
        by_version = dict(self._extra)
        for policy, aliases in self._aliases.items():
            names = (policy, "") if policy == self._only_policy else (policy,)
            for alias, loaded in aliases.items():
                by_version[policy, loaded.version] = loaded
                for name in names:
                    by_alias[name, alias] = loaded
                    if alias == DEFAULT_ALIAS:
                        by_alias[name, ""] = loaded
        self._split_by_alias = self._rebuilt_splits(by_version)
        self._by_alias, self._by_version = by_alias, by_version
        self.found = {}  # last, so that whoever sees it also sees the tables above

    def _rebuilt_splits(
        self, by_version: dict[tuple[str, int], LoadedVersion]
    ) -> dict[tuple[str, str], Split]:
        """Returns the splits by policy and alias, without the versions that failed."""
        found: dict[tuple[str, str], Split] = {}
        for policy, splits in self._splits.items():
            names = (policy, "") if policy == self._only_policy else (policy,)
            for alias, whole in splits.items():
                by_version.update({(policy, loaded.version): loaded for _, loaded in whole.shares})
                split = whole.without(self._failed)
                aliases = (alias, "") if alias == DEFAULT_ALIAS else (alias,)
                if split is not None:
                    found.update({(name, each): split for name in names for each in aliases})
        return found
