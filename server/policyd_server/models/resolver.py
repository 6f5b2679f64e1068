"""From the names in a request to the version that answers, in memory or loaded now."""

from __future__ import annotations

import asyncio

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policyd.errors import InvalidArgument, NotFound, Unavailable
from policyd.repository.names import validate_alias_name, validate_policy_name
from policyd_server.models.follower import Follower
from policyd_server.models.loaded_versions import DEFAULT_ALIAS, LoadedVersions
from policyd_server.models.misses import Misses
from policyd_server.models.version import LoadedVersion

MAX_NAMES = 20  # most names that a message lists


class VersionResolver:
    """Finds versions. A version in memory is found without waiting."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self.loaded_versions: LoadedVersions = follower.loaded_versions
        self._repository = follower.repository
        self._misses = Misses(lambda: not follower.repository.folders(), follower.repository.versions)

    def at_hand(self, policy: str, version: int | None, alias: str, key: str = "") -> LoadedVersion | None:
        """Returns the version if it is in memory.

        `version` None: the one that the alias names. Empty names mean the defaults.
        """
        return self.loaded_versions.at_hand(policy, version, alias, key)

    async def find(self, policy: str, version: int | None, alias: str, key: str = "") -> LoadedVersion:
        """Returns the version, and loads it if necessary.

        Raises InvalidArgument, NotFound, and Unavailable if it does not load.
        """
        policy = await self.policy(policy)
        async with self._misses.bounded(policy, version):
            if version is not None:
                return await self.version(policy, version)
            return await self._by_alias(policy, validate_alias_name(alias or DEFAULT_ALIAS), key)

    async def policy(self, name: str) -> str:
        """Returns the name of a policy that exists. An empty name means the only one.

        Raises InvalidArgument and NotFound.
        """
        if name:
            validate_policy_name(name)
        there = await self._follower.read_policies()
        unknown = name not in there if name else not there
        if unknown and await asyncio.to_thread(self._repository.look_again):
            there = await self._follower.read_policies()
        if not name:
            if len(there) == 1:
                return there[0]
            if there:
                raise InvalidArgument.of("policy", got="no name", wanted=f"one of {_listed(there)}")
            raise NotFound("there is no policy yet", reason="NO_POLICY")
        if name not in there:
            raise NotFound(f"no policy {name!r}; there are: {_listed(there)}", reason="NO_SUCH_POLICY")
        return name

    async def version(self, policy: str, version: int) -> LoadedVersion:
        """Returns a published version. If necessary, it is loaded and kept.

        Raises InvalidArgument, NotFound and CorruptArtifact.
        """
        if version < 1:
            raise InvalidArgument.of("version", got=version, wanted="1 or above")
        loaded = await self._follower.load(policy, version)
        self.loaded_versions.keep(loaded)
        return loaded

    async def metadata(self, policy: str, version: int) -> PolicyMetadata:
        """Returns a version's description. Version 0 means the newest. NotFound: there is none."""
        numbers = await asyncio.to_thread(self._repository.versions, policy)
        if not numbers:
            raise NotFound(f"{policy} has no version", reason="NO_VERSION")
        number = version or max(numbers)
        published = await asyncio.to_thread(self._repository.read, policy, number)
        return published.metadata

    async def _by_alias(self, policy: str, alias: str, key: str) -> LoadedVersion:
        # The alias may have been set since the last poll.
        await self._follower.refresh(policy)
        serving = self.loaded_versions.serving(policy)
        if alias in serving:
            return self.loaded_versions.by_alias(policy, alias, key) or serving[alias]
        if (failure := self._follower.troubles.failures.get((policy, alias))) is not None:
            message = f"alias {alias!r} of {policy} names version {failure.version}: {failure.message}"
            raise Unavailable(message, retry_after=5.0, reason="VERSION_NOT_LOADED")
        aliases = await asyncio.to_thread(self._repository.aliases, policy)
        versions = await asyncio.to_thread(self._repository.versions, policy)
        raise NotFound(
            f"{policy} has no alias {alias!r}; aliases: {_listed(sorted(aliases.aliases))};"
            f" versions: {_listed(list(map(str, versions)))}",
            reason="NO_SUCH_ALIAS",
        )


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
