"""Episodes: acting, and reporting the outcomes, so that the policy can learn from them."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from policy_api.v1 import experience_pb2 as pb
from policyd.client import calls
from policyd.client.acting import ActCodec, Actions, ActOptions, Observations
from policyd.client.arrays import float32
from policyd.client.async_connection import AsyncConnection
from policyd.client.calls import Call
from policyd.client.connection import Connection
from policyd.client.messages import build
from policyd.errors import FailedPrecondition, InvalidArgument, PolicydError, Retryable

#: Outcomes are collected until there are this many, and then reported with one call.
BUFFERED = 32
#: How long a report is retried while the server cannot take it, in seconds.
PATIENCE = 30.0


class EpisodeState:
    """The steps of one agent's episode, and its outcomes that have not been reported yet.

    It sends nothing itself.
    """

    def __init__(self, policy: str, episode_id: str, agent_id: str, subject: str) -> None:
        self.policy = policy
        self.episode_id = episode_id or str(uuid.uuid4())
        self.agent_id, self.subject = agent_id, subject
        self.step = -1  # the step of the last decision
        self.ended = False
        self.waiting: list[pb.Outcome] = []
        self._version: int | None = None  # the version that acted first, and that acts until the end
        self._rewarded = True  # whether the last decision has an outcome

    def request(self, observation: Observations, **options: Unpack[ActOptions]) -> ActCodec:
        """Returns the request for the next decision. FailedPrecondition: the episode has ended."""
        if self.ended:
            raise FailedPrecondition("the episode has ended; begin another one", reason="EPISODE_ENDED")
        own: ActOptions = {**options, "policy": self.policy}
        if self._version is not None and own.get("version") is None:
            own |= {"version": self._version, "alias": None}
        codec = ActCodec([observation], **own)
        codec.request.decisions.add(
            episode_id=self.episode_id,
            agent_id=self.agent_id,
            step=self.step + 1,
            subject=self.subject,
        )
        return codec

    def decided(self, actions: Actions) -> Any:
        """Takes the response to the last request, and returns its one action."""
        self.step += 1
        self._version = self._version or actions.version
        self._rewarded = False
        return actions.actions[0]

    def rewarded(
        self, reward: float, *, terminated: bool, truncated: bool, observation: Any, part: str
    ) -> None:
        """Queues the outcome of the last decision.

        Raises InvalidArgument for a wrong value, and FailedPrecondition if there is no decision
        yet.
        """
        if self.step < 0:
            raise FailedPrecondition("reward before the first act", reason="NO_DECISION")
        if truncated and not terminated and observation is None:
            wanted = "the observation after the step, which says what the cut-off future is worth"
            raise InvalidArgument.of("observation", got="None with truncated=True", wanted=wanted)
        end = pb.TERMINATED if terminated else pb.TRUNCATED if truncated else pb.GOES_ON
        final = b""
        if end == pb.TRUNCATED:
            final = float32("observation", observation, "the numbers of one observation").tobytes()
        self.waiting.append(self._outcome(reward=reward, end=end, final_observation=final, part=part))
        self._rewarded = True
        self.ended = terminated or truncated

    def given_up(self) -> None:
        """Queues the end of an episode that its caller does not finish."""
        if not self.ended and self.step >= 0 and not self._rewarded:
            self.waiting.append(self._outcome(end=pb.ABANDONED))
        self.ended = True

    def report(self) -> Call[pb.ReportOutcomesResponse]:
        """Returns the call that reports the queued outcomes."""
        return calls.report_outcomes(self.policy, self.waiting)

    def reported(self, answer: pb.ReportOutcomesResponse, sent: int) -> None:
        """Removes the outcomes that were sent.

        Raises FailedPrecondition if the server did not record all of them.
        """
        del self.waiting[:sent]
        problems = [*answer.conflicts, *answer.unknown]
        if problems:
            message = f"{len(problems)} outcomes were not taken: {problems[0].description}"
            raise FailedPrecondition(message, reason="OUTCOMES_NOT_TAKEN")

    def _outcome(self, **fields: Any) -> pb.Outcome:
        return build(pb.Outcome, episode_id=self.episode_id, agent_id=self.agent_id, step=self.step, **fields)


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
        """Gives the episode up if it has not ended, and reports the remaining outcomes."""
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


def new_state(policy: str, episode_id: str, agent_id: str, subject: str) -> EpisodeState:
    """Returns a new episode. InvalidArgument: a name does not fit into its field."""
    names: Sequence[tuple[str, str]] = (("episode_id", episode_id), ("agent_id", agent_id))
    for field, name in names:
        build(pb.Outcome, **{field: name})
    return EpisodeState(policy, episode_id, agent_id, subject)
