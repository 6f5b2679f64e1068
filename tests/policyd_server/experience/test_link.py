"""A worker's calls to the recorder."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from policyd.errors import Exhausted, Unavailable
from policyd.experience.configs import RecordedPolicies
from policyd_server.experience import link as module
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


@pytest.mark.parametrize("listens", [True, False])
def test_what_waits_for_a_recorder_that_hangs_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    """Calls end after their time, but their bytes stay until the recorder reads them."""
    monkeypatch.setattr(module, "MAX_WAITING", 2_000_000)
    monkeypatch.setattr(module, "CALL_SECONDS", 0.2)
    path = str(tmp_path / "socket")
    sender = DecisionSender(path, RecordedPolicies(tmp_path))
    link = RecorderLink(path, sender)

    async def calls() -> None:
        for _ in range(10):
            with suppress_timeout():
                await link.call(Method.REPORT, "", bytes(900_000))

    async def report(listener: socket.socket) -> None:
        running = asyncio.create_task(link.run())
        try:
            with pytest.raises(Unavailable, match="does not read what waits"):
                await calls()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await sender.close()
            listener.close()
            if listens:
                async with asyncio.timeout(60):
                    await link._lost.wait()

    with socket.socket(socket.AF_UNIX) as listener:
        if listens:
            listener.bind(path)
            listener.listen()
        asyncio.run(report(listener))


@contextmanager
def suppress_timeout() -> Iterator[None]:
    """Suppresses the error of a call that was not answered."""
    try:
        yield
    except Unavailable as error:
        if "does not answer" not in error.message:
            raise
