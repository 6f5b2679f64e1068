"""Live parts: made once however many read, sent when they change, never more than the newest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from policyd.errors import NotFound, PermissionDenied, Unavailable
from policyd_server.http import events
from policyd_server.http.access import Access
from policyd_server.http.calls import Calls
from policyd_server.http.gateway import Gateway
from policyd_server.http.link import WorkerChannels
from policyd_server.page import feed, live
from policyd_server.page.feed import Parts
from policyd_server.page.live import UNREACHABLE, Feeds
from policyd_server.settings import Settings


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL", 0.0)
    monkeypatch.setattr(live, "LONGEST_INTERVAL", 0.0)


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """It calls nobody."""
    workers = WorkerChannels(tmp_path, 2**20, fronted=False)
    return Gateway(Settings(repository=tmp_path), Calls(workers), Access(None))


class Source:
    """Parts as the test wants them next."""

    def __init__(self) -> None:
        self.parts: Parts = {"now": "first"}
        self.error: Exception | None = None
        self.made = 0

    async def make(self) -> Parts:
        """The parts, or the error."""
        self.made += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.parts


class Page:
    """The ASGI end of one reader."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.came = asyncio.Condition()
        self.takes_nothing = False
        self.left = asyncio.Event()

    @property
    def text(self) -> str:
        """All that was sent."""
        return b"".join(message.get("body", b"") for message in self.messages).decode()

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Id and HTML of each part, in their order."""
        told = [line.removeprefix("data: ") for line in self.text.splitlines() if line.startswith("data: ")]
        return [(data["id"], data["html"]) for data in map(json.loads, told) if "html" in data]

    async def send(self, message: Message) -> None:
        """Takes what the server sends."""
        assert not self.takes_nothing
        async with self.came:
            self.messages.append(message)
            self.came.notify_all()

    async def receive(self) -> Message:
        """Tells when the reader has hung up."""
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def until(self, seen: Callable[[], bool]) -> None:
        """Returns once that is so."""
        async with asyncio.timeout(60), self.came:
            await self.came.wait_for(seen)

    async def shows(self, part: tuple[str, str]) -> None:
        """Returns once the part has come."""
        await self.until(lambda: part in self.parts)


@asynccontextmanager
async def opened(
    feeds: Feeds, gateway: Gateway, source: Source, authorization: str = ""
) -> AsyncIterator[Page]:
    """A page that is open during the block."""
    page = Page()
    headers = [(b"authorization", authorization.encode())] if authorization else []
    scope: dict[str, Any] = {"type": "http", "path": "/page/live/now", "query_string": b""}
    scope |= {"headers": headers, "state": {"takes_nothing": lambda: page.takes_nothing}}
    response = await feeds.stream(gateway, Request(scope), source.make)
    answering = asyncio.create_task(response(scope, page.receive, page.send))
    try:
        yield page
    finally:
        page.takes_nothing = False
        page.left.set()
        async with asyncio.timeout(60):
            await answering


def _run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_two_readers_share_what_is_made(gateway: Gateway) -> None:
    """Both get all parts at first, and then what changes; nothing is made once they have left."""

    async def test() -> None:
        feeds, source = Feeds(), Source()
        async with opened(feeds, gateway, source) as one, opened(feeds, gateway, source) as other:
            for page in (one, other):
                await page.shows(("now", "first"))
            source.parts = {"now": "second"}
            for page in (one, other):
                await page.shows(("now", "second"))
            assert len(feeds._feeds) == 1
            assert gateway.streams == 2
            made = source.made
        async with asyncio.timeout(60):
            await asyncio.gather(*feeds._tasks)
        assert source.made >= made
        assert not feeds._feeds
        assert gateway.streams == 0

    _run(test)


def test_every_group_of_readers_is_told(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """All groups get each change, also when a reader of one of them has left."""
    monkeypatch.setattr(feed, "GROUP", 2)

    async def test() -> None:
        feeds, source = Feeds(), Source()
        async with (
            opened(feeds, gateway, source) as one,
            opened(feeds, gateway, source) as two,
            opened(feeds, gateway, source) as three,
            opened(feeds, gateway, source) as four,
        ):
            async with opened(feeds, gateway, source) as leaves:
                await leaves.shows(("now", "first"))
                source.parts = {"now": "second"}
                await leaves.shows(("now", "second"))
            source.parts = {"now": "third"}
            for page in (one, two, three, four):
                await page.shows(("now", "third"))
                assert page.parts[-1] == ("now", "third")
            assert ("now", "third") not in leaves.parts

    _run(test)


def test_a_new_page_gets_nothing_older_than_itself(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is loaded after a change is not set back by what was looked at before.

    It does not have to wait for the next look of the pages that were open before.
    """
    monkeypatch.setattr(live, "INTERVAL", 3600.0)
    monkeypatch.setattr(live, "LONGEST_INTERVAL", 3600.0)
    monkeypatch.setattr(feed, "GROUP", 1000)

    async def test() -> None:
        feeds, source = Feeds(), Source()
        async with opened(feeds, gateway, source) as old:
            await old.shows(("now", "first"))
            source.parts = {"now": "second"}
            async with opened(feeds, gateway, source) as new:
                await new.shows(("now", "second"))
                assert ("now", "first") not in new.parts
                await old.shows(("now", "second"))

    _run(test)


def test_callers_are_kept_apart(gateway: Gateway) -> None:
    """What one caller may see goes to nobody else."""

    async def test() -> None:
        feeds, mine, theirs = Feeds(), Source(), Source()
        theirs.parts = {"now": "theirs"}
        async with (
            opened(feeds, gateway, mine, "Bearer mine") as first,
            opened(feeds, gateway, theirs, "Bearer theirs") as second,
        ):
            await first.shows(("now", "first"))
            await second.shows(("now", "theirs"))
            assert len(feeds._feeds) == 2
            mine.parts, theirs.parts = {"now": "second"}, {"now": "theirs again"}
            await first.shows(("now", "second"))
            await second.shows(("now", "theirs again"))
            assert "theirs" not in first.text

    _run(test)


def test_a_slow_reader_gets_the_newest(gateway: Gateway) -> None:
    """States that it did not read are left out, and nobody waits for it."""

    async def test() -> None:
        feeds, source = Feeds(), Source()
        async with opened(feeds, gateway, source) as quick, opened(feeds, gateway, source) as slow:
            await slow.shows(("now", "first"))
            slow.takes_nothing = True
            for number in range(50):
                source.parts = {"now": str(number)}
                await quick.shows(("now", str(number)))
            slow.takes_nothing = False
            await slow.shows(("now", "49"))
            assert [html for name, html in slow.parts if name == "now"] == ["first", "49"]

    _run(test)


def test_an_outage_passes_and_a_refusal_ends(gateway: Gateway) -> None:
    """While the services are away the page says so; who lacks the role is told and cut off."""

    async def test() -> None:
        feeds, source = Feeds(), Source()
        async with opened(feeds, gateway, source) as page:
            source.error = Unavailable("away", retry_after=1.0)
            await page.shows(("notice", UNREACHABLE))
            source.error = None
            await page.until(lambda: dict(page.parts)["notice"] == "")  # the last one counts
            source.error = PermissionDenied("no more")
            await page.until(lambda: page.messages[-1].get("more_body") is False)
            assert "event: error" in page.text
            assert "no more" in page.text

    _run(test)


def test_an_error_at_first_is_raised(gateway: Gateway) -> None:
    """So that it becomes the response's status; the next reader starts anew."""

    async def test() -> None:
        feeds, source = Feeds(), Source()
        source.error = NotFound("no such job")
        with pytest.raises(NotFound):
            async with opened(feeds, gateway, source):
                pass
        source.error = None
        async with opened(feeds, gateway, source) as page:
            await page.shows(("now", "first"))

    _run(test)


def test_a_long_silence_is_broken(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server sends a comment while nothing changes, so that no proxy closes the connection."""
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.0)

    async def test() -> None:
        async with opened(Feeds(), gateway, Source()) as page:
            await page.until(lambda: ": still here" in page.text)
            assert len(dict(page.parts)) == len(page.parts)  # nothing changed, so no part came twice

    _run(test)


def test_many_or_dear_feeds_are_looked_at_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """All together take a bounded share of a core, and no page waits longer than the bound."""
    monkeypatch.setattr(live, "INTERVAL", 1.0)
    monkeypatch.setattr(live, "LONGEST_INTERVAL", 5.0)
    feeds = Feeds()
    feeds._feeds = {(name, None, None): feed.Feed() for name in "ab"}
    assert feeds._interval(live.SHARE / 2) == 1.0
    assert feeds._interval(1.5 * live.SHARE) == pytest.approx(3.0)
    assert feeds._interval(100.0) == 5.0
