"""Plain requests on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, FloatArray
from policyd.errors import Exhausted
from policyd_server.acting.batcher import Asked, Batcher
from policyd_server.acting.loop_batcher import LoopBatcher
from policyd_server.acting.plain import Plain
from policyd_server.acting.ticket import Ticket
from policyd_server.models.version import LoadedVersion
from tests.policyd_server.compiled.needed import needs_compiler
from tests.policyd_server.conftest import Load

ROW = bytes(16)
Scenario = Callable[[LoopBatcher, Batcher], Coroutine[None, None, None]]


@pytest.fixture(scope="module")
def model(load: Load) -> LoadedVersion:
    """A quick version."""
    return load("loop", 1)


def plain(model: LoadedVersion, rows: int, seed: int = 1) -> Asked:
    """A plain request with zeros."""
    payload = ActRequest(observations=FloatArray(raw=ROW * rows), seed=seed).SerializeToString()
    start = payload.index(ROW)
    return Plain(model, start, rows, start + 16 * rows), payload


def run(scenario: Scenario, max_rows: int = 10_000) -> None:
    """Runs a scenario on a loop of its own. Afterwards nothing waits."""

    async def within() -> None:
        batcher = Batcher(max_rows)
        await scenario(LoopBatcher(asyncio.get_running_loop(), batcher, in_place=True), batcher)
        assert not batcher
        assert not batcher.queue.rows

    asyncio.run(within())


@needs_compiler
def test_small_requests_are_answered_without_a_turn_of_the_loop(model: LoadedVersion) -> None:
    """The coroutine ends at its first step, with the response."""

    async def scenario(on_loop: LoopBatcher, _: Batcher) -> None:
        with pytest.raises(StopIteration) as ended:
            on_loop.plain(plain(model, 3, seed=7)).send(None)
        answer = ActResponse.FromString(ended.value.value)
        assert (answer.batch_size, answer.seed, answer.digest) == (3, 7, model.digest)

    run(scenario)


@needs_compiler
def test_large_requests_take_turns_with_others(model: LoadedVersion) -> None:
    """One of them is answered in each turn. What is queued meanwhile is in that turn, too."""
    order: list[str] = []

    async def large(on_loop: LoopBatcher, name: str) -> None:
        answer = await on_loop.plain(plain(model, 200))
        assert answer is not None
        assert ActResponse.FromString(answer).batch_size == 200
        order.append(name)

    async def scenario(on_loop: LoopBatcher, _: Batcher) -> None:
        calls = [asyncio.create_task(large(on_loop, name)) for name in ("first", "second", "third")]
        await asyncio.sleep(0)  # they are in the queue now
        on_loop.submit(Ticket(model, ROW, 1, done=lambda _: order.append("ticket")))
        await asyncio.gather(*calls)

    run(scenario)
    assert order.index("ticket") < order.index("second")
    assert [name for name in order if name != "ticket"] == ["first", "second", "third"]


@needs_compiler
def test_a_cancelled_large_request_is_not_computed(model: LoadedVersion) -> None:
    """It leaves the queue, and the next one is answered in its turn."""

    async def scenario(on_loop: LoopBatcher, batcher: Batcher) -> None:
        first, second = (asyncio.create_task(on_loop.plain(plain(model, 100))) for _ in range(2))
        await asyncio.sleep(0)
        assert batcher.queue.rows == 200
        first.cancel()
        assert await second
        assert first.cancelled()

    run(scenario)


@needs_compiler
def test_a_full_queue_refuses_large_requests_only(model: LoadedVersion) -> None:
    """Small ones do not wait, so they are answered all the same."""

    async def scenario(on_loop: LoopBatcher, _: Batcher) -> None:
        waiting = asyncio.create_task(on_loop.plain(plain(model, 100)))
        await asyncio.sleep(0)
        with pytest.raises(Exhausted):
            await on_loop.plain(plain(model, 100))
        assert await on_loop.plain(plain(model, 1))
        assert await waiting

    run(scenario, max_rows=150)


@needs_compiler
def test_a_plain_request_that_cannot_be_answered_has_to_queue(model: LoadedVersion) -> None:
    """So has every one behind the front, whose thread uses the version's buffers."""
    bad = Plain(model, 0, 1, 16), b"\xff" * 16  # NaN

    async def scenario(on_loop: LoopBatcher, batcher: Batcher) -> None:
        assert await on_loop.plain(bad) is None
        behind = LoopBatcher(asyncio.get_running_loop(), batcher, in_place=False)
        assert await behind.plain(plain(model, 1)) is None

    run(scenario)
