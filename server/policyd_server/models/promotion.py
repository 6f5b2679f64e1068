"""Moving an alias: the version is loaded and verified before, and served by everyone after."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from policy_api.v1 import policy_pb2 as pb
from policyd.errors import Conflict, FailedPrecondition, InvalidArgument, Unimplemented
from policyd.repository import AliasState
from policyd.repository.aliases import with_rollback
from policyd.repository.names import validate_alias_name, validate_author
from policyd_server.models.follower import Follower
from policyd_server.models.listing import PolicyListing
from policyd_server.models.loaded_versions import DEFAULT_ALIAS
from policyd_server.models.resolver import VersionResolver
from policyd_server.models.version import LoadedVersion

ROLLBACK_ATTEMPTS = 5  # if other writers change the policy meanwhile


class Promotion:
    """Changes aliases. `refresh_all` makes every worker of this server follow a policy."""

    def __init__(
        self,
        follower: Follower,
        resolver: VersionResolver,
        listing: PolicyListing,
        refresh_all: Callable[[str], Awaitable[None]],
    ) -> None:
        self._repository = follower.repository
        self._resolver = resolver
        self._listing = listing
        self._refresh_all = refresh_all

    async def set_alias(self, request: pb.SetAliasRequest) -> tuple[pb.Alias, int]:
        """Promotes a version. Returns the alias and the policy's generation."""
        policy, alias = await self._names(request)
        if request.version < 1:
            raise InvalidArgument.of("version", got=request.version, wanted="1 or above")
        loaded = await self._loadable(policy, request.version)
        state = await asyncio.to_thread(
            self._repository.set_alias,
            policy,
            alias,
            loaded.version,
            actor=request.actor,
            reason=request.reason,
            expected_generation=_expected(request),
        )
        return await self._followed(state, alias)

    async def rollback_alias(self, request: pb.RollbackAliasRequest) -> tuple[pb.Alias, int]:
        """Rolls an alias back. Returns the alias and the policy's generation."""
        policy, alias = await self._names(request)
        for attempt in range(1, ROLLBACK_ATTEMPTS + 1):
            try:
                return await self._followed(await self._rolled_back(policy, alias, request), alias)
            except Conflict:
                if _expected(request) is not None or attempt == ROLLBACK_ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _rolled_back(self, policy: str, alias: str, request: pb.RollbackAliasRequest) -> AliasState:
        """Loads the version that the history leads to, then changes the alias.

        Raises Conflict if somebody changed the history meanwhile.
        """
        state = await asyncio.to_thread(self._repository.aliases, policy)
        target = with_rollback(state, alias, actor="", reason="").aliases[alias]
        await self._loadable(policy, target)
        expected = _expected(request)
        return await asyncio.to_thread(
            self._repository.rollback_alias,
            policy,
            alias,
            actor=request.actor,
            reason=request.reason,
            expected_generation=state.generation if expected is None else expected,
        )

    async def _followed(self, state: AliasState, alias: str) -> tuple[pb.Alias, int]:
        await self._refresh_all(state.policy)
        return self._listing.alias(state, alias), state.generation

    async def _names(self, request: pb.SetAliasRequest | pb.RollbackAliasRequest) -> tuple[str, str]:
        validate_author(request.actor, request.reason)
        alias = validate_alias_name(request.alias or DEFAULT_ALIAS)
        return await self._resolver.policy(request.policy), alias

    async def _loadable(self, policy: str, version: int) -> LoadedVersion:
        """Returns the version, in memory. NotFound; FailedPrecondition: it does not load."""
        try:
            return await self._resolver.version(policy, version)
        except Unimplemented as error:
            raise FailedPrecondition(error.message, reason="VERSION_NOT_SERVABLE") from error


def _expected(request: pb.SetAliasRequest | pb.RollbackAliasRequest) -> int | None:
    return request.expected_generation if request.HasField("expected_generation") else None
