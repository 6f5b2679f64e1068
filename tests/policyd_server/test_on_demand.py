"""A process that starts when somebody connects to its socket."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from pathlib import Path

import pytest

from policy_api.v1 import experience_pb2 as pb
from policyd_server.experience.keeper import recorder_process
from policyd_server.experience.wire import CALL, Method, encode
from tests.waiting import until


def test_a_process_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine may have no memory, or too many processes, for a while."""
    monkeypatch.setattr("policyd_server.on_demand.RESTART_SECONDS", 0.05)
    python, later = sys.executable, tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(later))
    caplog.set_level(logging.ERROR)
    request = pb.GetExperienceRequest(policy="p").SerializeToString()

    async def ask() -> bytes:
        recorder = recorder_process(tmp_path / "experience")
        recorder.start()
        try:
            with socket.socket(socket.AF_UNIX) as worker:
                worker.setblocking(False)
                await asyncio.get_running_loop().sock_connect(worker, recorder.path)
                await asyncio.to_thread(until, lambda: "cannot be started" in caplog.text)
                later.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
                later.chmod(0o755)
                worker.send(encode(CALL, b"\0" + request, 1, Method.GET))
                return await asyncio.get_running_loop().sock_recv(worker, 65536)
        finally:
            await recorder.stop()

    assert asyncio.run(ask())
