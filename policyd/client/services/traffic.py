"""Shares of an alias, shadows, canaries, and estimates from recorded episodes."""

from __future__ import annotations

from collections.abc import Sequence

from policy_api.v1 import traffic_pb2
from policyd.client import calls
from policyd.client.async_connection import AsyncConnection
from policyd.client.connection import Connection


class TrafficCalls:
    """Shares of an alias, shadows, canaries, and estimates from recorded episodes."""

    _connection: Connection

    def get_traffic(self, policy: str = "", *, timeout: float | None = None) -> traffic_pb2.Traffic:
        """Returns which versions share the policy's aliases, its canary, and who changed them.

        Raises NotFound if there is no such policy.
        """
        return self._connection.send(calls.get_traffic(policy), timeout)

    def set_traffic(
        self,
        policy: str,
        shares: Sequence[traffic_pb2.TrafficShare],
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
        timeout: float | None = None,
    ) -> traffic_pb2.Traffic:
        """Gives versions shares of an alias. The rest stays with the version that the alias names.

        Raises:
            InvalidArgument: a share is not above 0, or the shares add up to more than 1.
            FailedPrecondition: a version does not load, or a canary runs on the alias.
            Conflict: the generation is not `expected_generation`.
        """
        call = calls.set_traffic(
            policy=policy,
            alias=alias,
            shares=shares,
            actor=actor,
            reason=reason,
            expected_generation=expected_generation,
        )
        return self._connection.send(call, timeout)

    def set_shadow(
        self,
        policy: str,
        version: int,
        share: float,
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
        timeout: float | None = None,
    ) -> traffic_pb2.Traffic:
        """Lets a version also compute a share of the requests that the alias's own version answers.

        Clients never get the shadow's results. A share of 0 ends the shadow. Raises
        FailedPrecondition if the version does not load.
        """
        call = calls.set_shadow(
            policy=policy,
            alias=alias,
            version=version,
            share=share,
            actor=actor,
            reason=reason,
            expected_generation=expected_generation,
        )
        return self._connection.send(call, timeout)

    def compare_versions(
        self, policy: str = "", *, timeout: float | None = None
    ) -> list[traffic_pb2.Comparison]:
        """Returns how the policy's shadows compare with the versions that answered, newest first.

        FailedPrecondition: the policy never had a shadow.
        """
        return self._connection.send(calls.compare_versions(policy), timeout)

    def start_canary(
        self,
        policy: str,
        version: int,
        config: traffic_pb2.CanaryConfig | None = None,
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        timeout: float | None = None,
    ) -> traffic_pb2.Traffic:
        """Gives a version a small share of an alias. It rises as long as its returns are not worse.

        Raises FailedPrecondition if the alias has a canary or shares already, or if the version
        does not load.
        """
        call = calls.start_canary(
            policy=policy, version=version, config=config, alias=alias, actor=actor, reason=reason
        )
        return self._connection.send(call, timeout)

    def cancel_canary(
        self, policy: str, *, actor: str = "", reason: str = "", timeout: float | None = None
    ) -> traffic_pb2.Traffic:
        """Ends the canary and takes its share away. FailedPrecondition: no canary runs."""
        return self._connection.send(calls.cancel_canary(policy=policy, actor=actor, reason=reason), timeout)

    def evaluate_version(
        self, policy: str, version: int, *, max_episodes: int = 0, timeout: float | None = None
    ) -> traffic_pb2.EvaluateVersionResponse:
        """Estimates a version's return from recorded episodes in which other versions acted.

        `max_episodes`: how many of the newest episodes to use; 0: the server's default.

        Raises:
            NotFound: no such policy or version.
            FailedPrecondition: the policy does not record.
        """
        call = calls.evaluate_version(policy=policy, version=version, max_episodes=max_episodes)
        return self._connection.send(call, timeout)


class AsyncTrafficCalls:
    """As TrafficCalls, for asyncio."""

    _connection: AsyncConnection

    async def get_traffic(self, policy: str = "", *, timeout: float | None = None) -> traffic_pb2.Traffic:
        """As PolicyClient.get_traffic."""
        return await self._connection.send(calls.get_traffic(policy), timeout)

    async def set_traffic(
        self,
        policy: str,
        shares: Sequence[traffic_pb2.TrafficShare],
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
        timeout: float | None = None,
    ) -> traffic_pb2.Traffic:
        """As PolicyClient.set_traffic."""
        call = calls.set_traffic(
            policy=policy,
            alias=alias,
            shares=shares,
            actor=actor,
            reason=reason,
            expected_generation=expected_generation,
        )
        return await self._connection.send(call, timeout)

    async def set_shadow(
        self,
        policy: str,
        version: int,
        share: float,
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
        timeout: float | None = None,
    ) -> traffic_pb2.Traffic:
        """As PolicyClient.set_shadow."""
        call = calls.set_shadow(
            policy=policy,
            alias=alias,
            version=version,
            share=share,
            actor=actor,
            reason=reason,
            expected_generation=expected_generation,
        )
        return await self._connection.send(call, timeout)

    async def compare_versions(
        self, policy: str = "", *, timeout: float | None = None
    ) -> list[traffic_pb2.Comparison]:
        """As PolicyClient.compare_versions."""
        return await self._connection.send(calls.compare_versions(policy), timeout)

    async def start_canary(
        self,
        policy: str,
        version: int,
        config: traffic_pb2.CanaryConfig | None = None,
        *,
        alias: str = "",
        actor: str = "",
        reason: str = "",
        timeout: float | None = None,
    ) -> traffic_pb2.Traffic:
        """As PolicyClient.start_canary."""
        call = calls.start_canary(
            policy=policy, version=version, config=config, alias=alias, actor=actor, reason=reason
        )
        return await self._connection.send(call, timeout)

    async def cancel_canary(
        self, policy: str, *, actor: str = "", reason: str = "", timeout: float | None = None
    ) -> traffic_pb2.Traffic:
        """As PolicyClient.cancel_canary."""
        return await self._connection.send(
            calls.cancel_canary(policy=policy, actor=actor, reason=reason), timeout
        )

    async def evaluate_version(
        self, policy: str, version: int, *, max_episodes: int = 0, timeout: float | None = None
    ) -> traffic_pb2.EvaluateVersionResponse:
        """As PolicyClient.evaluate_version."""
        call = calls.evaluate_version(policy=policy, version=version, max_episodes=max_episodes)
        return await self._connection.send(call, timeout)
