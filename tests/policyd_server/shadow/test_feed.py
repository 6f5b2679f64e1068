"""The feed and a real shadow process: what is left out, and a process that ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from policy_api.v1 import traffic_pb2 as pb
from policyd.repository import ModelRepository, traffic
from policyd_server.acting.plain import Plain
from policyd_server.models.follower import Follower
from policyd_server.models.loaded_versions import LoadedVersions
from policyd_server.settings import Settings
from policyd_server.shadow import feed as feeds
from policyd_server.shadow.feed import ShadowFeed
from policyd_server.shadow.keeper import shadow_process
from policyd_server.shadow.process import CRASHED
from tests.policyd_server import artifacts

POLICY = "cartpole"
PATIENCE = 60.0


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """Versions 1 and 2, where 2 is a shadow of all requests of the champion."""
    repository = ModelRepository(tmp_path / "repository")
    for seed in (0, 1):
        described = artifacts.metadata(POLICY)
        repository.publish(POLICY, {"model.onnx": artifacts.model(described, seed=seed)}, metadata=described)
    repository.set_alias(POLICY, "champion", 1, actor="test", reason="test")
    repository.change_traffic(
        POLICY, lambda state: traffic.with_shadow(state, "champion", 2, 1.0, actor="test", reason="test")
    )
    return repository


@asynccontextmanager
async def feeding(repository: ModelRepository) -> AsyncIterator[tuple[ShadowFeed, Callable[[int], None]]]:
    """A feed whose process starts with the first request, and a function that makes requests."""
    follower = Follower(repository, LoadedVersions(0))
    await follower.poll()
    process = shadow_process(Settings(repository=repository.root))
    process.start()
    feed = ShadowFeed(process.path)
    feed.follow(follower)
    (model,) = feed.targets
    observations = np.zeros((1, 4), "<f4").tobytes()

    def answer(requests: int) -> None:
        asked = [(Plain(model, 0, 1, len(observations)), observations)] * requests
        feed.answered_plain(model, asked, [b"answer"] * requests)

    running = asyncio.create_task(feed.run())
    try:
        yield feed, answer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await process.stop()


async def _until(feed: ShadowFeed, holds: Callable[[pb.Comparison], bool]) -> pb.Comparison:
    async with asyncio.timeout(PATIENCE):
        while True:
            found = (await feed.ask(POLICY)).comparisons
            if found and holds(found[0]):
                return found[0]
            await asyncio.sleep(0.05)  # another process changes it: there is no event to wait for


def test_what_has_no_room_is_left_out_and_counted(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Responses never wait. Beyond the bound a request is dropped, and the comparison says so."""
    monkeypatch.setattr(feeds, "MAX_WAITING_BYTES", 16 * 10)

    async def scenario() -> pb.Comparison:
        async with feeding(repository) as (feed, answer):
            answer(25)
            return await _until(feed, lambda found: found.requests + found.dropped == 25)

    found = asyncio.run(scenario())
    assert (found.requests, found.dropped, found.failures) == (10, 15, 0)


def test_a_process_that_ends_is_followed_by_another(repository: ModelRepository) -> None:
    """The end of the process is a failure of the shadow. Later requests are computed again."""

    async def scenario() -> pb.Comparison:
        async with feeding(repository) as (feed, answer):
            answer(3)
            await _until(feed, lambda found: found.requests == 3)
            os.kill(_child(), signal.SIGKILL)
            async with asyncio.timeout(PATIENCE):
                while True:
                    answer(1)
                    await asyncio.sleep(0.05)  # the feed notices it when it sends
                    found = (await feed.ask(POLICY)).comparisons
                    if found and found[0].failures and found[0].requests:
                        return found[0]

    found = asyncio.run(scenario())
    assert found.last_failure == CRASHED


def test_without_a_shadow_nothing_is_copied() -> None:
    """Without a target, requests are not copied."""

    async def scenario() -> int:
        feed = ShadowFeed("/nowhere")
        nothing: Any = SimpleNamespace(traffic={})
        feed.follow(nothing)
        return len(feed.targets)

    assert asyncio.run(scenario()) == 0


def _child() -> int:
    """The shadow process that this process has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(parent) == os.getpid() and b"policyd_server.shadow.process" in command:
            return int(folder.name)
    raise AssertionError("no shadow process runs")
