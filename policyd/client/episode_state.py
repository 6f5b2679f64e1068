"""One agent's episode as its client knows it: what to request next, and what to report.

It sends nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Unpack

from policy_api.v1 import experience_pb2 as pb
from policyd.client import calls
from policyd.client.acting import ActCodec, Actions, ActOptions, Observations
from policyd.client.arrays import float32
from policyd.client.calls import Call
from policyd.client.messages import build
from policyd.errors import FailedPrecondition, InvalidArgument


class EpisodeState:
    """The steps of one agent's episode, and its outcomes that have not been reported yet."""

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


def new_state(policy: str, episode_id: str, agent_id: str, subject: str) -> EpisodeState:
    """Returns a new episode. InvalidArgument: a name does not fit into its field."""
    names: Sequence[tuple[str, str]] = (("episode_id", episode_id), ("agent_id", agent_id))
    for field, name in names:
        build(pb.Outcome, **{field: name})
    return EpisodeState(policy, episode_id, agent_id, subject)
