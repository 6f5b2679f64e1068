"""Live parts of pages: made once for everybody who looks at the same page as the same caller.

A feed makes its parts again at an interval, and sends those that changed to every open page. One
task does that for all of them: a page that is open has no timer and no task that wakes up for an
event. A reader that is slow gets the newest state, not all states between. However many pages are
open, they take a bounded share of a core.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from policyd.errors import PolicydError, Unavailable
from policyd.runtime import log
from policyd_server.http import errors, events
from policyd_server.http.calls import authorization_of, common_name_of
from policyd_server.http.events import Event
from policyd_server.http.gateway import Gateway
from policyd_server.page.feed import Feed, Parts, Reader

INTERVAL, LONGEST_INTERVAL = 1.0, 5.0  # seconds between two looks
HURRY_SECONDS = 0.2  # between two looks while new pages come
#: Of a core, for all live parts together. Where they take more, they are made and sent less often.
SHARE = 0.005
UNREACHABLE = "The services cannot be reached at the moment. This page goes on trying."

Make = Callable[[], Awaitable[Parts]]
_Key = tuple[str, str | None, str | None]  # path and query, authorization, common name
_LOG = logging.getLogger(__name__)


class Feeds:
    """All feeds of the process. A feed runs while somebody reads it."""

    def __init__(self) -> None:
        self._feeds: dict[_Key, Feed] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def stream(self, gateway: Gateway, request: Request, make: Make) -> Response:
        """A response with events `part` of id and HTML: all parts at first, then those that change.

        Raises what `make` raises at first, except Unavailable: then it is tried again. A later
        error is sent as the event `error` and ends the stream. Exhausted: too many streams.
        """
        events.check_room(gateway)
        place = f"{request.url.path}?{request.url.query}"
        join = partial(self._feed, (place, authorization_of(request), common_name_of(request)), make)
        feed = join()
        since = feed.looks
        feed.hurry.set()  # what was looked at before may be older than the page
        feed.joining += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(events.FIRST_SECONDS):
                    await feed.looked.wait()
        finally:
            feed.joining -= 1
        if feed.error is not None:
            raise feed.error
        return _LiveResponse(gateway, join, feed, since)

    def _feed(self, key: _Key, make: Make) -> Feed:
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = Feed()
            task = asyncio.create_task(self._keep(key, feed, make))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return feed

    def _interval(self, cost: float) -> float:
        """Seconds between two looks of a feed that takes so much CPU time for each."""
        return min(LONGEST_INTERVAL, max(INTERVAL, cost * len(self._feeds) / SHARE))

    async def _keep(self, key: _Key, feed: Feed, make: Make) -> None:
        """Makes the parts again and again while somebody reads, until an error that stays."""
        try:
            while True:
                began = time.monotonic()
                feed.begin()
                try:
                    with feed.counting():
                        parts = {**await make(), "notice": ""}
                    feed.take(parts)
                except Unavailable:
                    feed.take({"notice": UNREACHABLE})
                await feed.tell_all(INTERVAL / 2)
                with suppress(TimeoutError):
                    pause = began + self._interval(feed.cost) - time.monotonic()
                    await asyncio.wait_for(feed.hurry.wait(), max(0.0, pause))
                    await asyncio.sleep(max(0.0, began + HURRY_SECONDS - time.monotonic()))
                if not feed.readers and not feed.joining:
                    return
        except PolicydError as error:
            feed.end(error)
        except Exception as error:  # noqa: BLE001 -- the boundary: its readers are told, and may try again
            feed.end(log.unexpected(_LOG, f"unexpected error in the live parts of {key[0]!r}", error))
        finally:
            del self._feeds[key]


class _LiveResponse(Response):
    """Sends a feed's events until the feed, the reader or the process ends."""

    def __init__(self, gateway: Gateway, join: Callable[[], Feed], asked: Feed, since: int) -> None:
        """`since`: the looks that `asked` had begun before the page asked for its events."""
        super().__init__(headers=events.HEADERS)
        del self.headers["content-length"]
        self._gateway = gateway
        self._join = join
        self._asked, self._since = asked, since

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Leaves the sending to the feed."""
        feed = self._join()
        since = self._since if feed is self._asked else 0  # that one has ended: this one is new
        reader = Reader(send, scope["state"]["takes_nothing"], since)
        feed.readers.add(reader)  # before anything is awaited: a feed that nobody reads ends
        self._gateway.streams += 1
        ends = [
            asyncio.ensure_future(end)
            for end in (events.until_gone(receive), self._gateway.stopping.wait(), feed.over.wait())
        ]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await events.take(send, events.RETRY)
            reader.begun = True
            await feed.tell(reader)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            feed.readers.discard(reader)
            if feed.error is not None:
                await reader.take(Event("error", errors.document(feed.error)).encoded)
            await events.take(send, b"", more=False)
        finally:
            feed.readers.discard(reader)
            self._gateway.streams -= 1
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
