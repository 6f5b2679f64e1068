"""What there is: policies, versions and aliases, as messages."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextlib import suppress
from functools import lru_cache

from policy_api.v1 import policy_pb2 as pb
from policy_api.v1.gate_pb2 import GateVerdict
from policyd.errors import CorruptArtifact, NotFound, PolicydError
from policyd.repository import AliasChange, AliasState, PublishedVersion
from policyd_server.models.follower import Follower
from policyd_server.models.loaded_versions import LoadedVersions
from policyd_server.models.resolver import VersionResolver

_KINDS = {"set": pb.AliasChange.KIND_SET, "rollback": pb.AliasChange.KIND_ROLLBACK}


class PolicyListing:
    """Reads the repository, and says which versions this server has in memory."""

    def __init__(self, follower: Follower, resolver: VersionResolver) -> None:
        self._follower = follower
        self._repository = follower.repository
        self._loaded_versions: LoadedVersions = follower.loaded_versions
        self._resolver = resolver
        # A version changes only with its policy's stamp. Reading its metadata takes longest.
        self._read = lru_cache(maxsize=1024)(self._read_version)

    async def get(self, name: str) -> pb.Policy:
        """Returns one policy. An empty name means the only one. NotFound."""
        return await self._current(await self._resolver.policy(name))

    async def list(self) -> list[pb.Policy]:
        """Returns every policy, by name. A damaged one says so, and does not hide the others."""
        names = await asyncio.to_thread(self._repository.policies)
        return [await self._current(name) for name in names]

    async def _current(self, name: str) -> pb.Policy:
        """Returns one policy, after this server has followed the repository.

        An alias that was set before the next poll is followed first. The caller may want to use it,
        and should not be told of a version that is not served yet.
        """
        found = await asyncio.to_thread(self._policy, name)
        if not self._is_behind(found):
            return found
        with suppress(PolicydError):  # the versions from before stay, and the response says so
            await self._follower.refresh(name)
        return await asyncio.to_thread(self._policy, name)

    def _is_behind(self, policy: pb.Policy) -> bool:
        """Whether an alias serves another version than it should, although its own would load."""
        failures = self._follower.troubles.failures
        return any(
            alias.serving_version != alias.version and (policy.name, alias.name) not in failures
            for alias in policy.aliases
        )

    def alias(self, state: AliasState, alias: str) -> pb.Alias:
        """Returns one alias: the version that the repository says, and the one that is served."""
        serving = self._loaded_versions.serving(state.policy).get(alias)
        return pb.Alias(
            name=alias,
            version=state.aliases[alias],
            serving_version=serving.version if serving is not None else 0,
            history=[_change(change) for change in state.history_of(alias)],
        )

    def _policy(self, name: str) -> pb.Policy:
        seen = self._repository.inspect(name)
        policy = pb.Policy(name=name, damage=seen.damage)
        if (state := seen.aliases) is not None:
            policy.generation = state.generation
            policy.aliases.extend(self.alias(state, alias) for alias in sorted(state.aliases))
        loaded = self._loaded_versions.loaded(name)
        policy.versions.extend(self._version(name, v, v in loaded) for v in seen.versions)
        return policy

    def _version(self, policy: str, version: int, loaded: bool) -> pb.PolicyVersion:
        try:
            published = self._read(policy, version, self._follower.stamp(policy))
            message = described(published, loaded=loaded)
            if (verdict := self._repository.verdict_of(published)) is not None:
                message.verdict.CopyFrom(_without_returns(verdict))
            return message
        except (CorruptArtifact, NotFound) as error:  # one damaged version does not hide the others
            return pb.PolicyVersion(version=version, loaded=loaded, damage=error.message)

    def _read_version(self, policy: str, version: int, stamp: Hashable) -> PublishedVersion:  # noqa: ARG002 -- part of the cache's key
        return self._repository.read(policy, version)


def described(published: PublishedVersion, *, loaded: bool) -> pb.PolicyVersion:
    """Returns the message of a version; `loaded`: this server has it in memory."""
    message = pb.PolicyVersion(
        version=published.version,
        digest=published.digest,
        job_id=published.job_id,
        metadata=published.metadata,
        loaded=loaded,
    )
    message.create_time.FromDatetime(published.create_time)
    return message


def _without_returns(verdict: GateVerdict) -> GateVerdict:
    for mode in ("greedy", "sampled"):
        if verdict.HasField(mode):
            paired = getattr(verdict, mode)
            paired.ClearField("challenger")
            paired.ClearField("champion")
    return verdict


def _change(change: AliasChange) -> pb.AliasChange:
    message = pb.AliasChange(
        kind=_KINDS[change.kind],
        version=change.version,
        generation=change.generation,
        actor=change.actor,
        reason=change.reason,
    )
    message.change_time.FromDatetime(change.change_time)
    return message
