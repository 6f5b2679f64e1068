"""What there is: policies, versions and aliases, as messages."""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache

from policy_api.errors import CorruptArtifact, NotFound
from policy_api.v1 import policy_pb2 as pb
from policy_api.v1.gate_pb2 import GateVerdict
from repository import AliasChange, AliasState, PublishedVersion
from server.models.catalog import Catalog
from server.models.follower import Follower
from server.models.selector import Selector

_LOG = logging.getLogger(__name__)

_KINDS = {"set": pb.AliasChange.KIND_SET, "rollback": pb.AliasChange.KIND_ROLLBACK}


class Directory:
    """Reads the repository and says which of it this server has in memory."""

    def __init__(self, follower: Follower, selector: Selector) -> None:
        self._repository = follower.repository
        self._catalog: Catalog = follower.catalog
        self._selector = selector
        # Versions never change, and their metadata takes longest to read.
        self._read = lru_cache(maxsize=1024)(self._repository.read)

    async def get(self, name: str) -> pb.Policy:
        """One policy; an empty name means the only one. NotFound."""
        policy = await self._selector.policy(name)
        return await asyncio.to_thread(self._policy, policy)

    async def list(self) -> list[pb.Policy]:
        """Every policy, by name."""
        names = await asyncio.to_thread(self._repository.policies)
        return [await asyncio.to_thread(self._policy, name) for name in names]

    def alias(self, state: AliasState, alias: str) -> pb.Alias:
        """One alias: what the repository says and what this server answers with."""
        serving = self._catalog.serving(state.policy).get(alias)
        return pb.Alias(
            name=alias,
            version=state.aliases[alias],
            serving_version=serving.version if serving is not None else 0,
            history=[_change(change) for change in state.history_of(alias)],
        )

    def _policy(self, name: str) -> pb.Policy:
        state = self._repository.aliases(name)
        loaded = self._catalog.loaded(name)
        return pb.Policy(
            name=name,
            generation=state.generation,
            aliases=[self.alias(state, alias) for alias in sorted(state.aliases)],
            versions=[self._version(name, v, v in loaded) for v in self._repository.versions(name)],
        )

    def _version(self, policy: str, version: int, loaded: bool) -> pb.PolicyVersion:
        try:
            message = _version(self._read(policy, version), loaded)
            if (verdict := self._repository.verdict(policy, version)) is not None:
                message.verdict.CopyFrom(_without_returns(verdict))
            return message
        except (CorruptArtifact, NotFound) as error:  # one damaged version does not hide the others
            _LOG.warning("%s version %d cannot be described: %s", policy, version, error.message)
            return pb.PolicyVersion(version=version, loaded=loaded)


def _version(published: PublishedVersion, loaded: bool) -> pb.PolicyVersion:
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
