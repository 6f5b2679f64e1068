"""Few places for calls that move much."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from policyd.errors import Exhausted, Unavailable
from policyd_server import turns
from policyd_server.turns import PLACES, Turns, received, taken_by_client


async def _messages(count: int, then: asyncio.Event) -> AsyncIterator[int]:
    for number in range(count):
        yield number
    await then.wait()


def test_who_finds_no_place_is_refused() -> None:
    """A place is free again after its call."""

    async def calls() -> None:
        places = Turns("exports")
        async with places.taken(), places.taken():
            with pytest.raises(Exhausted, match="2 exports are under way"):
                async with places.taken():
                    pass
        async with places.taken():
            assert await places.run(sum, [1, 2]) == 3

    asyncio.run(calls())


def test_calls_that_were_cancelled_occupy_only_their_own_threads() -> None:
    """A client that begins exports and leaves them must not take the threads of all others."""

    async def calls() -> None:
        places, end = Turns("exports"), threading.Event()
        for _ in range(100):
            work = asyncio.create_task(places.run(end.wait))
            await asyncio.sleep(0)  # the task begins
            work.cancel()
        others = [thread for thread in threading.enumerate() if thread.name.startswith("exports")]
        assert len(others) == PLACES
        assert await asyncio.to_thread(sum, [1, 2]) == 3
        end.set()

    asyncio.run(calls())


def test_a_client_that_sends_nothing_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it sent before was taken."""
    monkeypatch.setattr(turns, "IDLE_SECONDS", 0.05)
    taken: list[int] = []

    async def call() -> None:
        async for message in received(_messages(2, asyncio.Event())):
            taken.append(message)  # noqa: PERF401 -- what came before the error counts too

    with pytest.raises(Unavailable, match="no message came"):
        asyncio.run(call())
    assert taken == [0, 1]


def test_a_client_that_takes_nothing_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task of its call is cancelled while it waits for the client."""
    monkeypatch.setattr(turns, "IDLE_SECONDS", 0.05)

    async def call(places: Turns) -> None:
        async with places.taken():
            async for _ in taken_by_client(_messages(1, asyncio.Event())):
                await asyncio.Event().wait()  # as grpc does, with a client that does not read

    async def calls() -> None:
        places = Turns("exports")
        idle = [asyncio.create_task(call(places)) for _ in range(PLACES)]
        ended = await asyncio.gather(*idle, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended)
        async with places.taken():
            pass

    asyncio.run(calls())


def test_a_client_that_goes_on_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes between its messages but the server's own."""
    monkeypatch.setattr(turns, "IDLE_SECONDS", 30.0)

    async def call() -> list[int]:
        end = asyncio.Event()
        end.set()
        return [message async for message in taken_by_client(received(_messages(3, end)))]

    assert asyncio.run(call()) == [0, 1, 2]
