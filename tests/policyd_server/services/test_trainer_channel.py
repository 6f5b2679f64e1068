"""The channel to the trainer, which somebody has to find first."""

from __future__ import annotations

import asyncio
from concurrent import futures
from functools import partial
from pathlib import Path

import grpc
import grpc.aio
import pytest

from policyd_server.services import reach
from policyd_server.services.trainer_channel import TrainerChannel

LONG = 3600.0  # seconds; no check happens in this test


async def _address_of_nobody(kind: str, folder: Path) -> str:
    if kind == "unix":
        return f"unix:{folder}/trainer"
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"127.0.0.1:{port}"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_call_that_finds_the_trainer_tells_who_waits_for_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute may pass between two checks. Health says at once that the trainer is there."""
    monkeypatch.setattr(reach, "RETRY_SECONDS", LONG)

    async def test() -> None:
        address = await _address_of_nobody(kind, tmp_path)
        channel = TrainerChannel(address, partial(grpc.aio.insecure_channel, address))
        assert not await channel.connected()
        waiting = asyncio.create_task(channel.changed(channel.state))
        await asyncio.sleep(0)  # it is waiting now
        trainer = grpc.server(futures.ThreadPoolExecutor(1))
        trainer.add_insecure_port(address)
        trainer.start()
        assert await channel.connected()
        await asyncio.wait_for(waiting, 60)
        await channel.close()
        trainer.stop(None)

    asyncio.run(test())
