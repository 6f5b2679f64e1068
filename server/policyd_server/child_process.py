"""Child processes that belong to the server.

Waiting for their end, ending them, and dying with the owner.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess

from policyd.runtime.running_time import timeout

STOP_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1


async def readable(descriptor: int) -> None:
    """Returns when there is something to read."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_reader(descriptor, arrived.set)
    try:
        await arrived.wait()
    finally:
        loop.remove_reader(descriptor)


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Waits for the end of a process and returns its exit code."""
    descriptor = os.pidfd_open(process.pid)
    try:
        await readable(descriptor)
    finally:
        os.close(descriptor)
    return process.wait()


async def end(process: subprocess.Popen[bytes], grace: float = STOP_SECONDS) -> None:
    """Sends SIGTERM, and after `grace` seconds SIGKILL."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        async with timeout(grace):
            await ended(process)
    except TimeoutError:
        process.kill()
        process.wait()


def dies_with(owner: int) -> bool:
    """Asks the kernel to kill this process when `owner` dies. False: it has died already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == owner
