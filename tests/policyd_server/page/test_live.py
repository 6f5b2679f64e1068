"""Live parts: made once however many read, sent when they change, never more than the newest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from starlette.requests import Request

from policyd.errors import PermissionDenied, Unavailable
from policyd_server.http.events import Event
from policyd_server.page import live
from policyd_server.page.live import UNREACHABLE, Feeds, Parts


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL", 0.0)


def _request(authorization: str = "") -> Request:
    headers = [(b"authorization", authorization.encode())] if authorization else []
    return Request({"type": "http", "path": "/page/live/now", "query_string": b"", "headers": headers})


class Source:
    """Returns the parts that the test sets."""

    def __init__(self) -> None:
        self.parts: Parts = {"now": "first"}
        self.error: Exception | None = None
        self.made = 0

    async def make(self) -> Parts:
        """Returns the parts, or raises the error."""
        self.made += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.parts


def _data(event: Event) -> tuple[str, str]:
    assert not isinstance(event.data, str)
    return event.data["id"], event.data["html"]


async def _until(stream: AsyncIterator[Event], wanted: tuple[str, str]) -> None:
    async with asyncio.timeout(20):
        while _data(await anext(stream)) != wanted:
            pass


def _run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_two_readers_share_what_is_made() -> None:
    """Both get all parts first, and then what changes."""

    async def test() -> None:
        feeds, source = Feeds(), Source()
        streams = [feeds.follow(_request(), source.make) for _ in range(2)]
        for stream in streams:
            await _until(stream, ("now", "first"))
        source.parts = {"now": "second"}
        for stream in streams:
            await _until(stream, ("now", "second"))
        assert len(feeds._feeds) == 1
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]  # a generator
        made = source.made
        await asyncio.sleep(0.05)
        assert source.made <= made + 1, "nobody reads, and parts are made"
        assert not feeds._feeds

    _run(test)


def test_callers_are_kept_apart() -> None:
    """Parts that one caller may see go to no other caller."""

    async def test() -> None:
        feeds, mine, theirs = Feeds(), Source(), Source()
        theirs.parts = {"now": "theirs"}
        first = feeds.follow(_request("Bearer mine"), mine.make)
        second = feeds.follow(_request("Bearer theirs"), theirs.make)
        await _until(first, ("now", "first"))
        await _until(second, ("now", "theirs"))
        assert len(feeds._feeds) == 2
        mine.parts, theirs.parts = {"now": "second"}, {"now": "theirs again"}
        seen = []
        async with asyncio.timeout(20):
            while "second" not in seen:
                seen.append(_data(await anext(first))[1])
        assert not any("theirs" in html for html in seen)
        await first.aclose()  # type: ignore[attr-defined]  # a generator
        await second.aclose()  # type: ignore[attr-defined]  # a generator

    _run(test)


def test_a_slow_reader_gets_the_newest() -> None:
    """A slow reader does not get the states in between."""

    async def test() -> None:
        feeds, source = Feeds(), Source()
        quick, slow = (feeds.follow(_request(), source.make) for _ in range(2))
        await _until(slow, ("now", "first"))
        for number in range(50):
            source.parts = {"now": str(number)}
            await _until(quick, ("now", str(number)))
        async with asyncio.timeout(20):
            seen = [_data(await anext(slow)) for _ in range(2)]
        assert ("now", "49") in seen
        await quick.aclose()  # type: ignore[attr-defined]  # a generator
        await slow.aclose()  # type: ignore[attr-defined]  # a generator

    _run(test)


def test_an_outage_passes_and_a_refusal_ends() -> None:
    """During an outage the page says so. A caller without the role is told, and the stream ends."""

    async def test() -> None:
        feeds, source = Feeds(), Source()
        stream = feeds.follow(_request(), source.make)
        source.error = Unavailable("away", retry_after=1.0)
        await _until(stream, ("notice", UNREACHABLE))
        source.error = None
        await _until(stream, ("notice", ""))
        source.error = PermissionDenied("no more")
        with pytest.raises(PermissionDenied):
            await _until(stream, ("never", ""))

    _run(test)
