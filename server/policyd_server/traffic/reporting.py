"""Tells in a version's report how its canary went, once that has ended."""

from __future__ import annotations

import asyncio
import logging

from policy_api.v1 import traffic_pb2 as pb
from policyd.errors import PolicydError
from policyd.repository import ModelRepository
from policyd.repository.report import add_canary, has_ended
from policyd_server.traffic.canaries import is_running

_LOG = logging.getLogger(__name__)


def ends(before: pb.Traffic, after: pb.Traffic) -> bool:
    """Whether a change of the traffic ends the canary."""
    return is_running(before) and has_ended(after.canary)


async def note_end(repository: ModelRepository, state: pb.Traffic) -> None:
    """Adds the canary to the report. The canary has ended, whatever becomes of that."""
    canary = state.canary
    try:
        await asyncio.to_thread(add_canary, repository, state.policy, canary)
    except (PolicydError, OSError, ValueError) as error:
        report = f"the report of {state.policy} version {canary.version}"
        _LOG.warning("%s does not tell of its canary: %s", report, error)
