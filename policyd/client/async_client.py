"""AsyncPolicyClient: PolicyClient for asyncio, with the same methods and arguments."""

from __future__ import annotations

from typing import Unpack

from policyd.client import calls
from policyd.client.acting import Actions, ActOptions, Observations
from policyd.client.address import DEFAULT_ADDRESS
from policyd.client.async_connection import AsyncClosing, AsyncConnection
from policyd.client.channel import DEFAULT_TIMEOUT
from policyd.client.credentials import ANONYMOUS, Credentials
from policyd.client.services.experience import AsyncExperienceCalls
from policyd.client.services.policies import AsyncPolicyCalls
from policyd.client.services.traffic import AsyncTrafficCalls
from policyd.client.services.training import AsyncTrainingCalls
from policyd.client.streaming import AsyncActStream


class AsyncPolicyClient(
    AsyncPolicyCalls, AsyncExperienceCalls, AsyncTrafficCalls, AsyncTrainingCalls, AsyncClosing
):
    """PolicyClient for programs with an event loop: the same methods, arguments and errors.

    It may be created anywhere. It then belongs to the event loop of its first call.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        credentials: Credentials = ANONYMOUS,
    ) -> None:
        """`address`: HOST:PORT or unix:PATH. The first call connects."""
        self._connection = AsyncConnection(address, timeout, credentials)

    @property
    def address(self) -> str:
        """The server's address."""
        return self._connection.address

    async def close(self) -> None:
        """Closes the connection. Calls under way are cancelled."""
        await self._connection.close()

    async def act(
        self, observations: Observations, *, timeout: float | None = None, **options: Unpack[ActOptions]
    ) -> Actions:
        """As PolicyClient.act."""
        return await self._connection.send(calls.act(observations, **options), timeout)

    def stream(self, *, pin_version: bool = False, timeout: float | None = None) -> AsyncActStream:
        """As PolicyClient.stream; call it inside the event loop."""
        return AsyncActStream(self._connection, pin_version=pin_version, timeout=timeout)
