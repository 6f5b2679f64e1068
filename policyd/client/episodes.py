"""Episodes: acting, and reporting what came of it.

So the policy can learn from the caller's world.
"""

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

#: Outcomes that are kept until one call reports them all.
BUFFERED = 32
#: Seconds for which a report is repeated while the server cannot take it.
PATIENCE = 30.0


class EpisodeState:
    """The steps of one agent's episode, and the outcomes that have not been reported yet.

    No transport.
    """

    def __init__(self, policy: str, episode_id: str, agent_id: str, subject: str) -> None:
        self.policy = policy
        self.episode_id = episode_id or str(uuid.uuid4())
        self.agent_id, self.subject = agent_id, subject
        self.step = -1  # of the last decision
        self.ended = False
        self.waiting: list[pb.Outcome] = []
        self._version: int | None = None  # that acted first, and acts until the end
        self._rewarded = True  # whether the last decision has an outcome

    def request(self, observation: Observations, **options: Unpack[ActOptions]) -> ActCodec:
        """The next decision's request. FailedPrecondition: the episode has ended."""
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
        """Takes the answer to the last request, and returns the one action."""
        self.step += 1
        self._version = self._version or actions.version
        self._rewarded = False
        return actions.actions[0]

    def rewarded(
        self, reward: float, *, terminated: bool, truncated: bool, observation: Any, part: str
    ) -> None:
        """Queues the outcome of the last decision.

        InvalidArgument, FailedPrecondition: it has none.
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
        """The call that reports what waits."""
        return calls.report_outcomes(self.policy, self.waiting)

    def reported(self, answer: pb.ReportOutcomesResponse, sent: int) -> None:
        """Forgets what was sent. FailedPrecondition: the server did not take all of it."""
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
        """Seconds to wait.

        Raises the error if it cannot help to repeat, or the patience is over.
        """
        if not isinstance(error, Retryable) or not math.isfinite(error.retry_after):
            raise error
        if time.monotonic() + error.retry_after > self._ends:
            raise error
        return error.retry_after


class Episode:
    """One agent's episode, for one thread. Leaving its `with` block reports what is left.

    An episode whose block is left before its end is given up: what came before is learned from.
    """

    def __init__(self, connection: Connection, state: EpisodeState) -> None:
        self._connection, self._state = connection, state

    @property
    def episode_id(self) -> str:
        """The episode's name, as the server records it."""
        return self._state.episode_id

    @property
    def step(self) -> int:
        """The number of the last decision, from 0; -1 before the first."""
        return self._state.step

    def act(self, observation: Any, *, timeout: float | None = None, **options: Unpack[ActOptions]) -> Any:
        """Returns the action for one observation, an index or a vector. The decision is recorded.

        `options` are those of ActOptions. `policy` is the episode's own. Errors as in
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
        """Says what came of the last action. It is reported in time, 32 outcomes in one call.

        Args:
            reward: of the step, or of one `part` of it; parts add up.
            terminated: the step reached a terminal state.
            truncated: the episode is cut off here, by a time limit for instance.
            observation: with `truncated`, what was observed after the step.
            part: the part's name, if a step's reward comes in several.

        Raises:
            InvalidArgument: a value that does not fit, a reward outside the policy's range.
            FailedPrecondition: there is no decision, or the server knows another outcome of it.
        """
        self._state.rewarded(
            reward, terminated=terminated, truncated=truncated, observation=observation, part=part
        )
        if self._state.ended or len(self._state.waiting) >= BUFFERED:
            self.flush()

    def flush(self, patience: float = PATIENCE) -> None:
        """Reports what waits now. It is durable when this returns.

        While the server restarts or its disk is full, the report is repeated for `patience`
        seconds.
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
        """Gives the episode up, unless it has ended, and reports what is left."""
        self._state.given_up()
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncEpisode:
    """Episode for programs with an event loop: its methods, arguments and errors."""

    def __init__(self, connection: AsyncConnection, state: EpisodeState) -> None:
        self._connection, self._state = connection, state

    @property
    def episode_id(self) -> str:
        """The episode's name, as the server records it."""
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
    """A fresh episode. InvalidArgument: a name that its field cannot hold."""
    names: Sequence[tuple[str, str]] = (("episode_id", episode_id), ("agent_id", agent_id))
    for field, name in names:
        build(pb.Outcome, **{field: name})
    return EpisodeState(policy, episode_id, agent_id, subject)
