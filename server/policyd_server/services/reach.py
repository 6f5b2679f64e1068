"""Whether anything listens at an address, asked without gRPC.

A gRPC channel that fails to connect tries again every second for ever. Each attempt wakes all
threads of gRPC's core for a while: 40 times per second together. So the channel is told to connect
only where somebody listens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from policyd.runtime import listen_address

# Seconds between two attempts. Each wakes the process, which costs some milliseconds if it slept.
# A call that needs the address tries at once, whatever is left of the pause.
RETRY_SECONDS, GROWTH, MAX_RETRY_SECONDS = 1.0, 4.0, 60.0
CONNECT_SECONDS = 5.0  # for one attempt


async def listens(address: str) -> bool:
    """Whether "host:port" or "unix:/path" takes a connection within `CONNECT_SECONDS`."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await _connection(address)
        writer.transport.abort()
        return True
    return False


def _connection(address: str) -> Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    if path := listen_address.unix_path(address):
        return asyncio.open_unix_connection(path)
    host, _, port = address.rpartition(":")
    return asyncio.open_connection(host.strip("[]"), int(port))


async def until_listens(address: str) -> None:
    """Returns when something listens there."""
    pause = RETRY_SECONDS
    while not await listens(address):
        await asyncio.sleep(pause)
        pause = min(GROWTH * pause, MAX_RETRY_SECONDS)
