"""Tells in a version's report how its canary went, once that has ended."""

from __future__ import annotations

import asyncio
import logging
import time

from policy_api.v1 import traffic_pb2 as pb
from policyd.errors import PolicydError, Retryable
from policyd.repository import ModelRepository
from policyd.repository.report import add_canary, has_ended
from policyd_server.traffic.canaries import is_running

RETRY_SECONDS = 30.0  # pause between attempts while the repository is away

_LOG = logging.getLogger(__name__)


def ends(before: pb.Traffic, after: pb.Traffic) -> bool:
    """Whether a change of the traffic ends the canary."""
    return is_running(before) and has_ended(after.canary)


async def note_end(repository: ModelRepository, state: pb.Traffic) -> bool:
    """Adds the canary to the report of its version. Errors do not change that it has ended.

    False: the repository is away, so another attempt may help.
    """
    canary = state.canary
    try:
        await asyncio.to_thread(add_canary, repository, state.policy, canary)
    except (PolicydError, OSError, ValueError) as error:
        report = f"the report of {state.policy} version {canary.version}"
        _LOG.warning("%s: the canary could not be added to this report: %s", report, error)
        return not isinstance(error, Retryable)
    return True


class EndedCanaries:
    """Canaries whose end may be missing in a report, because the server that ended them died.

    Each is checked once after this process started, and again while the repository is away.
    """

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository
        self._told: dict[str, int] = {}  # by policy: when its last canary began, in nanoseconds
        self._retry_at: dict[str, float] = {}

    def owes(self, state: pb.Traffic) -> bool:
        """Whether the report of the policy's last canary still has to be checked."""
        return has_ended(state.canary) and self._told.get(state.policy) != _began(state)

    async def settle(self, state: pb.Traffic) -> None:
        """Adds what is missing, unless the last attempt was a moment ago."""
        if time.monotonic() < self._retry_at.get(state.policy, 0.0):
            return
        if await note_end(self._repository, state):
            self._told[state.policy] = _began(state)
        self._retry_at[state.policy] = time.monotonic() + RETRY_SECONDS


def _began(state: pb.Traffic) -> int:
    return state.canary.start_time.ToNanoseconds()
