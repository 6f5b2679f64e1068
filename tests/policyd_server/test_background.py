"""Background tasks have an owner that notices their end."""

from __future__ import annotations

import asyncio
import logging

import pytest

from policyd_server import background


def test_a_task_that_fails_is_logged_and_starts_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for it, so its error would never be seen."""
    monkeypatch.setattr(background, "RESTART_SECONDS", 0.01)
    caplog.set_level(logging.ERROR)
    runs: list[int] = []

    async def run() -> None:
        again = asyncio.Event()

        async def work() -> None:
            runs.append(len(runs))
            if len(runs) == 1:
                raise ValueError("a damaged answer")
            again.set()
            await asyncio.Event().wait()

        task = background.started("measuring", work)
        async with asyncio.timeout(60):
            await again.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(run())
    assert runs == [0, 1]
    assert "measuring failed; it starts again" in caplog.text
    assert "a damaged answer" in caplog.text
