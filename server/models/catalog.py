"""Which version answers: what aliases serve, and further versions on request.

Tables are replaced, never changed, so that any thread may look things up without a lock, and a request that
has found its version keeps it until it is answered, whatever is swapped meanwhile.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from server.models.version import LoadedVersion

DEFAULT_ALIAS = "champion"


class Catalog:
    """The versions in memory."""

    def __init__(self, extra_versions: int) -> None:
        self._extra_versions = extra_versions  # kept in memory beyond those that aliases serve
        self._lock = threading.Lock()
        self._aliases: dict[str, Mapping[str, LoadedVersion]] = {}
        self._extra: OrderedDict[tuple[str, int], LoadedVersion] = OrderedDict()
        # (policy, alias) as a request names them, defaults included
        self._by_alias: dict[tuple[str, str], LoadedVersion] = {}
        self._by_version: dict[tuple[str, int], LoadedVersion] = {}
        # What a reader of requests has found in these tables, by what it recognises; goes with them.
        self.found: dict[bytes, Any] = {}
        self._only_policy: str | None = None  # what a request without a name means, where there is but one

    def serving(self, policy: str) -> Mapping[str, LoadedVersion]:
        """What each alias of a policy answers with."""
        return self._aliases.get(policy, MappingProxyType({}))

    def by_alias(self, policy: str, alias: str) -> LoadedVersion | None:
        """Who answers for an alias; an empty name means the default. None: not in memory."""
        return self._by_alias.get((policy, alias))

    def by_version(self, policy: str, version: int) -> LoadedVersion | None:
        """A version if it is in memory; an empty policy means the only one."""
        return self._by_version.get((policy or self._only_policy or "", version))

    def at_hand(self, policy: str, version: int | None, alias: str) -> LoadedVersion | None:
        """What a request names, if it is in memory. `version` None: the alias; empty names: the defaults."""
        return self.by_alias(policy, alias) if version is None else self.by_version(policy, version)

    def loaded(self, policy: str) -> set[int]:
        """The numbers of a policy's versions in memory."""
        return {version for name, version in self._by_version if name == policy}

    def set_policies(self, policies: list[str]) -> None:
        """Tells which policies the repository has."""
        with self._lock:
            self._only_policy = policies[0] if len(policies) == 1 else None
            self._rebuild()

    def swap(self, policy: str, aliases: Mapping[str, LoadedVersion]) -> None:
        """From now on the aliases of `policy` answer with these."""
        with self._lock:
            self._aliases = {**self._aliases, policy: MappingProxyType(dict(aliases))}
            self._rebuild()

    def keep(self, loaded: LoadedVersion) -> None:
        """Keeps a version that was asked for by number; of too many, the least recently kept goes."""
        with self._lock:
            key = (loaded.policy, loaded.version)
            self._extra[key] = loaded
            self._extra.move_to_end(key)
            while len(self._extra) > self._extra_versions:
                self._extra.popitem(last=False)
            self._rebuild()

    def forget(self, policy: str) -> None:
        """Lets go of a policy's versions that no alias names; who answers with one keeps it that long."""
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
        self._by_alias, self._by_version = by_alias, by_version
        self.found = {}  # last: whoever sees it sees the tables above
