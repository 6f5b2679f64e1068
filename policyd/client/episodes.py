"""Episodes: acting, and reporting the outcomes, so that the policy can learn from them."""

from __future__ import annotations

import asyncio
import math
import time
from types import TracebackType
from typing import Any, Self, Unpack

from policyd.client.acting import ActOptions
from policyd.client.async_connection import AsyncConnection
from policyd.client.calls import Call
from policyd.client.connection import Connection
from policyd.client.episode_state import EpisodeState
from policyd.errors import PolicydError, Retryable

#: Outcomes are collected until there are this many, and then reported with one call.
BUFFERED = 32
#: How long a report is retried while the server cannot take it, in seconds.
PATIENCE = 30.0


class Retries:
    """How long to wait before a report is sent again."""

    def __init__(self, patience: float) -> None:
        self._ends = time.monotonic() + patience

    def pause(self, error: PolicydError) -> float:
        """Returns the seconds to wait before the next attempt.

        Raises the error if a retry cannot help, or if `patience` seconds have passed.
        """
        if not isinstance(error, Retryable) or not math.isfinite(error.retry_after):
            raise error
        if time.monotonic() + error.retry_after > self._ends:
            raise error
        return error.retry_after


class Episode:
    """One agent's episode, for one thread. Its `with` block reports the remaining outcomes.

    If the block ends before the episode does, the episode is marked as given up. A learner still
    uses its earlier steps.
    """

    def __init__(self, connection: Connection, state: EpisodeState) -> None:
        self._connection, self._state = connection, state

    @property
    def episode_id(self) -> str:
        """The episode's id, under which the server records it."""
        return self._state.episode_id

    @property
    def step(self) -> int:
        """The number of the last decision, from 0; -1 before the first."""
        return self._state.step

    def act(self, observation: Any, *, timeout: float | None = None, **options: Unpack[ActOptions]) -> Any:
        """Returns the action for one observation: an index, indices or a vector. It is recorded.

        `options` are those of ActOptions; `policy` is always the episode's own. Raises as
        PolicyClient.act.
        """
        codec = self._state.request(observation, **options)
        call = Call("policies", "Act", codec.request, codec.decode)
        return self._state.decided(self._connection.send(call, timeout))

    def reward(
        self,
        reward: float,
        *,
        terminated: bool = False,
        truncated: bool = False,
        observation: Any = None,
        part: str = "",
    ) -> None:
        """Sets the outcome of the last action. Outcomes are reported together, 32 in one call.

        Args:
            reward: the step's reward, or one `part` of it. The parts of a step are added up.
            terminated: the step reached a terminal state.
            truncated: the episode is cut off here, for instance by a time limit.
            observation: the observation after the step; needed with `truncated`.
            part: the name of the part, if a step's reward comes in several parts.

        Raises:
            InvalidArgument: a value does not fit, or the reward is outside the policy's range.
            FailedPrecondition: there is no decision yet, or the server has another outcome for it.
        """
        self._state.rewarded(
            reward, terminated=terminated, truncated=truncated, observation=observation, part=part
        )
        if self._state.ended or len(self._state.waiting) >= BUFFERED:
            self.flush()

    def flush(self, patience: float = PATIENCE) -> None:
        """Reports the queued outcomes now. They are durable when this returns.

        While the server restarts or its disk is full, the report is retried for `patience` seconds.

        Raises:
            FailedPrecondition: the server did not take an outcome, or the policy does not record.
            Retryable: the server did not take the report for `patience` seconds.
        """
        retries = Retries(patience)
        while sent := len(self._state.waiting):
            try:
                answer = self._connection.send(self._state.report())
            except PolicydError as error:
                time.sleep(retries.pause(error))
                continue
            self._state.reported(answer, sent)

    def close(self) -> None:
        """Gives the episode up if it has not ended, and reports the remaining outcomes.

        Raises the errors of `flush`.
        """
        self._state.given_up()
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncEpisode:
    """Episode for programs with an event loop: the same methods, arguments and errors."""

    def __init__(self, connection: AsyncConnection, state: EpisodeState) -> None:
        self._connection, self._state = connection, state

    @property
    def episode_id(self) -> str:
        """The episode's id, under which the server records it."""
        return self._state.episode_id

    @property
    def step(self) -> int:
        """The number of the last decision, from 0; -1 before the first."""
        return self._state.step

    async def act(
        self, observation: Any, *, timeout: float | None = None, **options: Unpack[ActOptions]
    ) -> Any:
        """As Episode.act."""
        codec = self._state.request(observation, **options)
        call = Call("policies", "Act", codec.request, codec.decode)
        return self._state.decided(await self._connection.send(call, timeout))

    async def reward(
        self,
        reward: float,
        *,
        terminated: bool = False,
        truncated: bool = False,
        observation: Any = None,
        part: str = "",
    ) -> None:
        """As Episode.reward."""
        self._state.rewarded(
            reward, terminated=terminated, truncated=truncated, observation=observation, part=part
        )
        if self._state.ended or len(self._state.waiting) >= BUFFERED:
            await self.flush()

    async def flush(self, patience: float = PATIENCE) -> None:
        """As Episode.flush."""
        retries = Retries(patience)
        while sent := len(self._state.waiting):
            try:
                answer = await self._connection.send(self._state.report())
            except PolicydError as error:
                await asyncio.sleep(retries.pause(error))
                continue
            self._state.reported(answer, sent)

    async def close(self) -> None:
        """As Episode.close."""
        self._state.given_up()
        await self.flush()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
