"""Episodes of clients: what is recorded of them, and what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime

from policy_api.v1 import experience_pb2
from policyd.client import calls, transfers
from policyd.client.async_connection import AsyncConnection
from policyd.client.connection import Connection
from policyd.client.episode_state import new_state
from policyd.client.episodes import AsyncEpisode, Episode


class ExperienceCalls:
    """Recording of clients' episodes: acting, outcomes, configuration, export and deletion."""

    _connection: Connection

    def episode(
        self, policy: str = "", *, episode_id: str = "", agent_id: str = "", subject: str = ""
    ) -> Episode:
        """Begins an episode. Its `act` records each decision, and its `reward` records the outcome.

        Use it as `with client.episode(policy=...) as episode:`. The caller chooses the names:
        `episode_id` (a new UUID if empty), `agent_id` if several agents share the episode, and
        `subject`, a pseudonym of the person that the episode is about.
        """
        return Episode(self._connection.to_one_server(), new_state(policy, episode_id, agent_id, subject))

    def report_outcomes(
        self,
        outcomes: Sequence[experience_pb2.Outcome],
        *,
        policy: str = "",
        timeout: float | None = None,
    ) -> experience_pb2.ReportOutcomesResponse:
        """Reports outcomes of decisions that were named in requests. They are durable on return.

        Raises:
            InvalidArgument: a field is wrong, or a reward is outside the policy's range.
            FailedPrecondition: the policy does not record.
            Exhausted: the server's disk is full.
        """
        return self._connection.send(calls.report_outcomes(policy, outcomes), timeout)

    def get_experience(
        self, policy: str = "", *, timeout: float | None = None
    ) -> experience_pb2.GetExperienceResponse:
        """Returns the configuration, the open episodes, and counts by version and by caller.

        Raises NotFound if there is no such policy.
        """
        return self._connection.send(calls.get_experience(policy), timeout)

    def set_experience_config(
        self,
        policy: str,
        config: experience_pb2.ExperienceConfig,
        *,
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
        timeout: float | None = None,
    ) -> experience_pb2.SetExperienceConfigResponse:
        """Changes what a policy records: the mode, the range of rewards, how long it is kept.

        Raises:
            InvalidArgument: a field is out of range.
            Conflict: the generation is not `expected_generation`.
        """
        call = calls.set_experience_config(
            policy=policy,
            config=config,
            actor=actor,
            reason=reason,
            expected_generation=expected_generation,
        )
        return self._connection.send(call, timeout)

    def export_episodes(
        self,
        policy: str = "",
        *,
        format: str = "minari",  # noqa: A002 -- the word that users look for
        version: int = 0,
        timeout: float = transfers.TRANSFER_TIMEOUT,
    ) -> Iterator[bytes]:
        """Yields the pieces of a file with the sealed episodes.

        Args:
            policy: may be empty where the server has exactly one policy.
            format: `minari`, a tar file of a data set; or `parquet`, one row per step.
            version: only episodes by this version; 0: all.
            timeout: seconds for the whole file.

        Raises:
            NotFound: there is no such policy.
            FailedPrecondition: the server was installed without the extra `export`.
        """
        yield from self._connection.episodes(calls.export_episodes(policy, format, version), timeout)

    def delete_episodes(
        self,
        policy: str,
        *,
        episode_ids: Sequence[str] = (),
        subject: str = "",
        before: datetime | None = None,
        reason: str = "",
        timeout: float | None = None,
    ) -> int:
        """Deletes episodes by their ids, their subject or their age, and returns how many.

        Give exactly one of `episode_ids`, `subject` and `before`. On return, no file of the server
        holds the episodes.

        Raises:
            InvalidArgument: none or several of the three were given.
            NotFound: there is no such policy.
        """
        call = calls.delete_episodes(
            policy=policy, episode_ids=episode_ids, subject=subject, before=before, reason=reason
        )
        return self._connection.send(call, timeout)


class AsyncExperienceCalls:
    """As ExperienceCalls, for asyncio."""

    _connection: AsyncConnection

    def episode(
        self, policy: str = "", *, episode_id: str = "", agent_id: str = "", subject: str = ""
    ) -> AsyncEpisode:
        """As PolicyClient.episode."""
        return AsyncEpisode(
            self._connection.to_one_server(), new_state(policy, episode_id, agent_id, subject)
        )

    async def report_outcomes(
        self,
        outcomes: Sequence[experience_pb2.Outcome],
        *,
        policy: str = "",
        timeout: float | None = None,
    ) -> experience_pb2.ReportOutcomesResponse:
        """As PolicyClient.report_outcomes."""
        return await self._connection.send(calls.report_outcomes(policy, outcomes), timeout)

    async def get_experience(
        self, policy: str = "", *, timeout: float | None = None
    ) -> experience_pb2.GetExperienceResponse:
        """As PolicyClient.get_experience."""
        return await self._connection.send(calls.get_experience(policy), timeout)

    async def set_experience_config(
        self,
        policy: str,
        config: experience_pb2.ExperienceConfig,
        *,
        actor: str = "",
        reason: str = "",
        expected_generation: int | None = None,
        timeout: float | None = None,
    ) -> experience_pb2.SetExperienceConfigResponse:
        """As PolicyClient.set_experience_config."""
        call = calls.set_experience_config(
            policy=policy,
            config=config,
            actor=actor,
            reason=reason,
            expected_generation=expected_generation,
        )
        return await self._connection.send(call, timeout)

    async def export_episodes(
        self,
        policy: str = "",
        *,
        format: str = "minari",  # noqa: A002 -- the word that users look for
        version: int = 0,
        timeout: float = transfers.TRANSFER_TIMEOUT,
    ) -> AsyncIterator[bytes]:
        """As PolicyClient.export_episodes."""
        request = calls.export_episodes(policy, format, version)
        async for piece in self._connection.episodes(request, timeout):
            yield piece

    async def delete_episodes(
        self,
        policy: str,
        *,
        episode_ids: Sequence[str] = (),
        subject: str = "",
        before: datetime | None = None,
        reason: str = "",
        timeout: float | None = None,
    ) -> int:
        """As PolicyClient.delete_episodes."""
        call = calls.delete_episodes(
            policy=policy, episode_ids=episode_ids, subject=subject, before=before, reason=reason
        )
        return await self._connection.send(call, timeout)
