"""A process that stands still as a whole is noticed from outside, and ended with its reason."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from policyd_trainer.guardian.pulse import state
from policyd_trainer.guardian.tree import descendants
from policyd_trainer.jobs import keeping
from tests.pausing import paused

STILL = Path(__file__).with_name("still.py")
PAUSED = Path(__file__).with_name("paused.py")


@pytest.mark.parametrize(
    ("way", "call", "told"),
    [
        ("stop", "step", "was stopped by a signal (SIGSTOP)"),
        ("stop", "first reset", "was stopped by a signal (SIGSTOP)"),
        ("stop", "import", "was stopped by a signal (SIGSTOP)"),
        ("lock", "reset", "stood still (C code that keeps Python's lock?)"),
        ("exec", "step", "has become another program"),
    ],
)
def test_a_process_that_stands_still_is_ended(way: str, call: str, told: str) -> None:
    """The failure names the reason and the call, and a traceback shows the place.

    A call that may start a simulator has more time, but not if a signal has stopped it.
    """
    done = subprocess.run(
        [sys.executable, str(STILL), way, call], capture_output=True, text=True, check=False, timeout=100
    )
    failure = json.loads(done.stdout.splitlines()[-1])["failure"]
    assert failure["reason"] == "ENVIRONMENT_HANGS"
    assert failure["message"].startswith(f"the training process {told}")
    assert failure["message"].endswith(f"in a call of the environment: {call}")
    assert done.returncode != 0
    assert ("still.py" in done.stderr) == (way != "exec")


def test_a_pause_of_everything_is_no_time_of_the_environment() -> None:
    """Guardian and run are stopped for longer than a step may take, and go on as before."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, str(PAUSED)], stdin=pipe, stdout=pipe, text=True) as guardian:
        assert guardian.stdout is not None
        assert guardian.stdout.readline() == "begun\n"
        paused([guardian.pid, *descendants(guardian.pid)], 10)
        told, _ = guardian.communicate("\n", timeout=120)
        assert (told, guardian.returncode) == ("ended\n", 0)


def test_a_stopped_guardian_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment may stop its parent. The trainer continues the guardian until its end."""
    monkeypatch.setattr(keeping, "LOOK", 0.01)
    with subprocess.Popen(["sleep", "600"]) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)

        async def test() -> None:
            task = asyncio.create_task(keeping.keep_going(process.pid, "a job"))
            deadline = time.monotonic() + 60
            while state(process.pid) == "T":
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            process.kill()
            process.wait()
            await asyncio.wait_for(task, 60)

        asyncio.run(test())
