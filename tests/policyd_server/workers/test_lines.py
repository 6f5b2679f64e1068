"""JSON lines between processes."""

from __future__ import annotations

import asyncio
import socket

import uvloop

from policyd_server.workers.lines import Lines


def test_lines_to_an_end_that_is_gone_are_lost() -> None:
    """Sending to a dead worker raises nothing.

    That holds before and after its connection has closed.
    """

    async def run() -> None:
        ours, theirs = socket.socketpair()
        lines = await Lines.over(ours)
        theirs.close()
        assert [line async for line in lines] == []
        lines.send({"done": 1})
        lines.close()
        await asyncio.sleep(0.01)  # the loop has closed it then
        lines.send({"done": 2})

    uvloop.run(run())
