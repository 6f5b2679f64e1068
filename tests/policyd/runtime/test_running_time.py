"""Limits that a pause of the whole process does not use up."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from policyd.runtime.running_time import RunningTime, Timer, timeout, wait, waits
from tests.pausing import paused

# Waits for a line for at most 3 s, and writes a dot whenever the loop runs.
LOOP = """
import asyncio, sys
from policyd.runtime.running_time import timeout, wait

async def dots():
    while True:
        print(".", flush=True)
        await asyncio.sleep(0.1)

async def main():
    asyncio.get_running_loop().add_reader(0, (line := asyncio.Event()).set)
    dotting = asyncio.create_task(dots())
    async with timeout(3):
        await line.wait()
    print("in time", flush=True)

asyncio.run(main())
"""
# The same in a thread that waits in pieces.
PIECES = """
import select, sys
from policyd.runtime.running_time import waits

for left in waits(3):
    print(".", flush=True)
    if select.select([0], [], [], min(left, 0.1))[0]:
        print("in time", flush=True)
        break
"""


@pytest.mark.parametrize("program", [LOOP, PIECES])
def test_a_pause_does_not_count(program: str) -> None:
    """A process that is stopped for longer than it may wait still gets what comes afterwards."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == ".\n"
        paused([process.pid], 4)
        assert process.stdout.readline() == ".\n"
        told, _ = process.communicate("go on\n", timeout=60)
        assert told.splitlines()[-1] == "in time"


def test_a_gap_counts_as_one_look() -> None:
    """Unless it is known that the process ran for longer."""
    clock = RunningTime(longest_look=0.0)
    assert clock.look() == 0
    assert clock.look(at_least=1e-9) == 1e-9
    assert clock.seconds == 1e-9


def test_a_limit_ends_a_wait() -> None:
    """What is waited for may end earlier, too."""

    async def test() -> None:
        with pytest.raises(TimeoutError):
            async with timeout(0.01):
                await asyncio.Event().wait()
        async with timeout(60):
            await asyncio.sleep(0)
        ending, endless = asyncio.ensure_future(asyncio.sleep(0)), asyncio.ensure_future(asyncio.sleep(600))
        await wait([ending], 60)
        assert ending.done()
        await wait([endless], 0.01)
        assert not endless.done()
        endless.cancel()

    asyncio.run(test())


def test_a_cancelled_timer_is_silent() -> None:
    """A timer with no time left calls back in the loop's next round."""

    async def test() -> None:
        called: list[str] = []
        Timer(0, lambda: called.append("cancelled")).cancel()
        done = asyncio.Event()
        timer = Timer(0.01, done.set)
        await done.wait()
        assert not called
        assert timer.seconds >= 0.01

    asyncio.run(test())


def test_the_last_wait_is_a_look() -> None:
    """Whatever happened during the last wait is seen."""
    assert list(waits(0)) == [0.0]
    assert list(waits(1e-9))[-1] == 0.0
