"""A worker's calls to the recorder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from policyd.errors import Exhausted
from policyd.experience.configs import RecordedPolicies
from policyd_server.experience.link import RecorderLink
from policyd_server.experience.sender import DecisionSender
from policyd_server.experience.wire import MAX_BODY, Method


def test_a_request_that_would_end_the_recorder_is_not_sent(tmp_path: Path) -> None:
    """A server may take messages that are larger than a frame of the recorder."""
    sender = DecisionSender(str(tmp_path / "socket"), RecordedPolicies(tmp_path))
    link = RecorderLink(str(tmp_path / "socket"), sender)

    async def report() -> None:
        try:
            await link.call(Method.REPORT, "", bytes(MAX_BODY))
        finally:
            await sender.close()

    with pytest.raises(Exhausted, match="a recorder takes at most"):
        asyncio.run(report())
