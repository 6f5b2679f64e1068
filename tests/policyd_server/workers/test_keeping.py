"""The supervisor keeps its workers if the machine starts no processes, and ends some of them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from policyd_server.experience.keeper import VARIABLE as RECORDER_SOCKET
from policyd_server.shadow.keeper import VARIABLE as SHADOW_SOCKET
from policyd_server.workers import supervisor as supervising
from policyd_server.workers.supervisor import Supervisor
from tests.policyd_server.process import Publish
from tests.waiting import until


@pytest.fixture
def supervised(
    publish: Publish, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[int, Callable[[Supervisor], Awaitable[None]]], None]:
    """Runs a test's steps with a supervisor that has started."""
    publish()
    for variable in (RECORDER_SOCKET, SHADOW_SOCKET):
        monkeypatch.setenv(variable, str(tmp_path / "nobody.socket"))
    arguments = ["--repository", str(tmp_path / "repository"), "--trainer", "127.0.0.1:1"]

    async def run(count: int, steps: Callable[[Supervisor], Awaitable[None]]) -> None:
        supervisor = Supervisor("127.0.0.1:0", count, arguments, start_seconds=60, drain_seconds=1)
        try:
            await supervisor.start()
            await steps(supervisor)
        finally:
            await supervisor.stop()

    return lambda count, steps: asyncio.run(run(count, steps))


Supervised = Callable[[int, Callable[[Supervisor], Awaitable[None]]], None]


def _pids(supervisor: Supervisor) -> list[int]:
    return [worker.process.pid for worker in supervisor._workers if worker is not None and worker.ready]


def test_a_worker_that_cannot_be_started_is_tried_again(
    supervised: Supervised, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine may have no memory, or too many processes, for a while."""
    caplog.set_level(logging.ERROR)

    async def steps(supervisor: Supervisor) -> None:
        [before] = _pids(supervisor)
        python, later = sys.executable, tmp_path / "python"
        monkeypatch.setattr(sys, "executable", str(later))
        os.kill(before, signal.SIGKILL)
        await asyncio.to_thread(until, lambda: "a worker cannot be started" in caplog.text)
        later.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
        later.chmod(0o755)
        await asyncio.to_thread(until, lambda: _pids(supervisor) not in ([], [before]))
        [after] = _pids(supervisor)
        assert after != before

    supervised(1, steps)


def test_a_worker_that_does_not_fit_is_forgotten(
    supervised: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for it, and whoever reads its metrics, learns that it has ended."""
    forgotten: list[int] = []
    monkeypatch.setattr(supervising, "forget_process", forgotten.append)

    async def steps(supervisor: Supervisor) -> None:
        kept, last = _pids(supervisor)
        supervisor._count = 0  # as if the number of workers followed from the memory
        monkeypatch.setattr(supervising, "memory_limit", lambda: 1)
        await asyncio.to_thread(until, lambda: forgotten == [last])
        assert _pids(supervisor) == [kept]

    supervised(2, steps)
