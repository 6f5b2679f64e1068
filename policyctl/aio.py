"""AsyncPolicyClient: acting from asyncio. Training and aliases are PolicyClient's."""

from __future__ import annotations

from typing import Unpack

from policy_api.v1 import policy_pb2, policy_pb2_grpc
from policyctl import channel
from policyctl.access import ANYBODY, Access
from policyctl.acting import Actions, ActOptions, Observations, act_request, actions_of
from policyctl.closing import AsyncClosing
from policyctl.streaming import AsyncActStream


class AsyncPolicyClient(AsyncClosing):
    """As PolicyClient, for programs that act from an event loop; make it inside the loop."""

    def __init__(
        self,
        address: str = channel.DEFAULT_ADDRESS,
        *,
        timeout: float = channel.DEFAULT_TIMEOUT,
        access: Access = ANYBODY,
    ) -> None:
        self.address = address
        self._timeout = timeout
        self._metadata = access.metadata
        self._channel = channel.open_aio_channel(address, access)
        self._policies = policy_pb2_grpc.PolicyServiceStub(self._channel)

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    async def act(self, observations: Observations, **options: Unpack[ActOptions]) -> Actions:
        """Asks for one action for each observation; arguments as in PolicyClient.act."""
        request = act_request(observations, **options)
        with channel.domain_errors(self.address):
            return actions_of(
                await self._policies.Act(request, timeout=self._timeout, metadata=self._metadata)
            )

    def stream(self, *, pin_version: bool = False, timeout: float | None = None) -> AsyncActStream:
        """A stream for a loop; arguments as in PolicyClient.stream."""
        call = self._policies.StreamAct(timeout=timeout, metadata=self._metadata)
        return AsyncActStream(call, self.address, pin_version=pin_version)

    async def get_policy(self, policy: str = "") -> policy_pb2.Policy:
        """One policy with its versions and aliases; NotFound."""
        request = policy_pb2.GetPolicyRequest(policy=policy)
        with channel.domain_errors(self.address):
            return (
                await self._policies.GetPolicy(request, timeout=self._timeout, metadata=self._metadata)
            ).policy
