"""What people ask of traffic: shares, and the beginning and end of a canary."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from policy_api.v1 import traffic_pb2 as pb
from policy_api.v1.experience_pb2 import GetExperienceRequest, GetExperienceResponse
from policyd.errors import FailedPrecondition, InvalidArgument, Unimplemented
from policyd.experience.configs import records
from policyd.repository import traffic
from policyd.repository.names import validate_alias_name, validate_author
from policyd_server.experience.link import RecorderLink
from policyd_server.experience.wire import Method
from policyd_server.models.follower import Follower
from policyd_server.models.loaded_versions import DEFAULT_ALIAS
from policyd_server.models.resolver import VersionResolver
from policyd_server.shadow.feed import ShadowFeed
from policyd_server.shadow.wire import Target
from policyd_server.traffic import canaries, reporting

MAX_SHARES = 20  # versions besides the alias's own


class TrafficDesk:
    """Changes traffic by compare-and-set. `refresh_all` makes every worker follow."""

    def __init__(
        self,
        follower: Follower,
        resolver: VersionResolver,
        refresh_all: Callable[[str], Awaitable[None]],
        recorder: RecorderLink,
        shadows: ShadowFeed,
    ) -> None:
        self._shadows = shadows
        self._recorder = recorder
        self._follower = follower
        self._repository = follower.repository
        self._resolver = resolver
        self._refresh_all = refresh_all

    async def get(self, policy: str) -> pb.Traffic:
        """Returns the policy's present traffic. NotFound, CorruptArtifact."""
        return await asyncio.to_thread(self._repository.traffic, await self._resolver.policy(policy))

    async def set(self, request: pb.SetTrafficRequest) -> pb.Traffic:
        """Sets the shares of the alias, and returns the traffic.

        When it returns, this server uses the shares.
        """
        policy, alias = await self._names(request.policy, request.alias, request.actor, request.reason)
        await self._check(policy, alias, request.shares)

        def change(state: pb.Traffic) -> pb.Traffic:
            canaries.refuse_running(state, alias)
            return traffic.with_shares(
                state, alias, request.shares, actor=request.actor, reason=request.reason
            )

        return await self._changed(policy, change, expected(request))

    async def set_shadow(self, request: pb.SetShadowRequest) -> pb.Traffic:
        """Sets the shadow of the alias, and returns the traffic."""
        policy, alias = await self._names(request.policy, request.alias, request.actor, request.reason)
        if not 0 <= request.share <= 1:
            raise InvalidArgument.of("share", got=request.share, wanted="0 to 1")
        if request.share:
            await self._check(policy, alias, [pb.TrafficShare(version=request.version, share=request.share)])

        def change(state: pb.Traffic) -> pb.Traffic:
            if not request.share and traffic.shadow_of(state, alias) is None:
                return state
            return traffic.with_shadow(
                state, alias, request.version, request.share, actor=request.actor, reason=request.reason
            )

        return await self._changed(policy, change, expected(request))

    async def compare(self, name: str) -> pb.CompareVersionsResponse:
        """Returns how the policy's shadows compare. FailedPrecondition: it never had one."""
        policy = await self._resolver.policy(name)
        state = await asyncio.to_thread(self._repository.traffic, policy)
        if not (state.shadows or any(change.HasField("shadow") for change in state.history)):
            message = f"{policy} never had a shadow: `policyctl shadow start VERSION`"
            raise FailedPrecondition(message, reason="NO_SHADOW")
        answer = await self._shadows.ask(policy)
        shares = self._shadows.shares(policy)
        for each in answer.comparisons:
            start = each.start_time.ToNanoseconds()
            target = Target(policy, each.alias, each.base_version, each.version, start)
            each.share = shares.pop(target, 0.0)
        quiet = [_uncompared(target, share) for target, share in shares.items()]
        return pb.CompareVersionsResponse(comparisons=[*quiet, *answer.comparisons])

    async def start(self, request: pb.StartCanaryRequest) -> pb.Traffic:
        """Starts a canary with its first share, and returns the traffic."""
        policy, alias = await self._names(request.policy, request.alias, request.actor, request.reason)
        config = canaries.config_of(request.config)
        await self._check(policy, alias, [pb.TrafficShare(version=request.version, share=config.share)])
        await self._require_experience(policy)
        state = await asyncio.to_thread(self._repository.aliases, policy)
        base = state.aliases[alias]

        def change(before: pb.Traffic) -> pb.Traffic:
            return canaries.started(before, request, alias, base, config)

        return await self._changed(policy, change, expected(request))

    async def cancel(self, request: pb.CancelCanaryRequest) -> pb.Traffic:
        """Ends the canary and its share, and returns the traffic."""
        policy, _ = await self._names(request.policy, "", request.actor, request.reason)
        reason = request.reason or "cancelled"

        def change(state: pb.Traffic) -> pb.Traffic:
            canaries.require_running(state)
            return traffic.canary_ended(state, pb.Canary.CANCELLED, reason, actor=request.actor)

        return await self._changed(policy, change, None)

    async def _changed(
        self, policy: str, change: Callable[[pb.Traffic], pb.Traffic], generation: int | None
    ) -> pb.Traffic:
        ended = False

        def replace(before: pb.Traffic) -> pb.Traffic:
            nonlocal ended
            after = change(before)
            ended = reporting.ends(before, after)
            return after

        state = await asyncio.to_thread(self._repository.change_traffic, policy, replace, generation)
        self._follower.loaded_versions.forgive(policy)  # a version that failed may get a share again
        await self._refresh_all(policy)
        if ended:
            await reporting.note_end(self._repository, state)
        return state

    async def _require_experience(self, policy: str) -> None:
        """Raises FailedPrecondition if the policy does not record: there would be no evidence."""
        request = GetExperienceRequest(policy=policy).SerializeToString()
        answer = await self._recorder.call(Method.GET, "", request)
        if not records(GetExperienceResponse.FromString(answer).config):
            message = f"{policy} records no experience: `policyctl experience set --mode record`"
            raise FailedPrecondition(message, reason="EXPERIENCE_OFF")

    async def _names(self, policy: str, alias: str, actor: str, reason: str) -> tuple[str, str]:
        validate_author(actor, reason)
        return await self._resolver.policy(policy), validate_alias_name(alias or DEFAULT_ALIAS)

    async def _check(self, policy: str, alias: str, shares: Sequence[pb.TrafficShare]) -> None:
        """Checks the shares and loads every version. Raises the errors of promoting them."""
        if len(shares) > MAX_SHARES:
            raise InvalidArgument.of("shares", got=len(shares), wanted=f"at most {MAX_SHARES}")
        traffic.validate_shares(shares)
        state = await asyncio.to_thread(self._repository.aliases, policy)
        own = state.aliases.get(alias)
        if own is None:
            there = ", ".join(sorted(state.aliases)) or "none"
            raise FailedPrecondition(f"{policy} has no alias {alias!r}; there are: {there}")
        if any(each.version == own for each in shares):
            wanted = f"other versions: {alias} names {own}, which has the rest"
            raise InvalidArgument.of("shares", got=f"version {own}", wanted=wanted)
        base = await self._resolver.version(policy, own)
        for each in shares:
            try:
                loaded = await self._resolver.version(policy, each.version)
            except Unimplemented as error:
                raise FailedPrecondition(error.message, reason="VERSION_NOT_SERVABLE") from error
            if loaded.metadata.observation_space != base.metadata.observation_space:
                message = f"version {each.version} takes other observations than version {own}"
                raise FailedPrecondition(message, reason="OTHER_SPACES")
            if loaded.metadata.action_space != base.metadata.action_space:
                message = f"version {each.version} has other actions than version {own}"
                raise FailedPrecondition(message, reason="OTHER_SPACES")


def expected(request: pb.SetTrafficRequest | pb.StartCanaryRequest | pb.SetShadowRequest) -> int | None:
    """Returns the generation that the caller has read. None: the caller does not say."""
    return request.expected_generation if request.HasField("expected_generation") else None


def _uncompared(target: Target, share: float) -> pb.Comparison:
    """The comparison of a shadow to which no request has come yet."""
    found = pb.Comparison(
        policy=target.policy,
        alias=target.alias,
        base_version=target.base,
        version=target.version,
        share=share,
    )
    found.start_time.FromNanoseconds(target.start)
    return found
