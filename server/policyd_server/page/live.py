"""Live parts of pages: made once for everybody who looks at the same page as the same caller.

A feed makes its parts again at an interval, and sends those that changed. However many pages are
open, a part is made once; a reader that is slow gets the newest state, not all states between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

from policyd.errors import PolicydError, Unavailable
from policyd_server.http.calls import authorization_of, common_name_of
from policyd_server.http.events import Event

INTERVAL = 1.0  # between two updates of the parts
UNREACHABLE = "The services cannot be reached at the moment. This page goes on trying."

Parts = Mapping[str, str]  # HTML by the id of the element that holds it
Make = Callable[[], Awaitable[Parts]]


@dataclass
class _Feed:
    """The live parts of one page, shared by its readers."""

    # By id: when the part changed, its HTML, and the event that all readers get.
    parts: dict[str, tuple[int, str, Event]] = field(default_factory=dict)
    turn: int = 0
    readers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    error: PolicydError | None = None
    task: asyncio.Task[None] | None = None

    def take(self, parts: Parts) -> None:
        """Stores changed parts, and wakes the readers if there are any."""
        new = {name: html for name, html in parts.items() if self._html(name) != html}
        if new:
            self.turn += 1
            for name, html in new.items():
                self.parts[name] = (self.turn, html, Event("part", {"id": name, "html": html}))
            self.wake()

    def _html(self, name: str) -> str | None:
        return self.parts[name][1] if name in self.parts else None

    def wake(self) -> None:
        """Wakes every reader."""
        self.changed.set()
        self.changed = asyncio.Event()


class Feeds:
    """All feeds of the process. A feed runs while it has a reader."""

    def __init__(self) -> None:
        self._feeds: dict[tuple[str, str | None, str | None], _Feed] = {}

    async def follow(self, request: Request, make: Make) -> AsyncIterator[Event]:
        """Yields events `part` with id and HTML: all parts at first, then the changed ones.

        An error of `make` ends the stream, except Unavailable, after which it is tried again.
        """
        place = f"{request.url.path}?{request.url.query}"
        key = (place, authorization_of(request), common_name_of(request))
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = _Feed()
            feed.task = asyncio.create_task(_keep(feed, make))
        feed.readers += 1
        try:
            async for event in _read(feed):
                yield event
        finally:
            feed.readers -= 1
            if not feed.readers:
                if feed.task is not None:
                    feed.task.cancel()
                if self._feeds.get(key) is feed:
                    del self._feeds[key]


async def _read(feed: _Feed) -> AsyncIterator[Event]:
    seen = 0
    while True:
        changed, newest = feed.changed, feed.turn
        for turn, _, event in list(feed.parts.values()):
            if turn > seen:
                yield event
        seen = newest
        if feed.error is not None:
            raise feed.error
        await changed.wait()  # already set if something changed meanwhile


async def _keep(feed: _Feed, make: Make) -> None:
    """Makes the parts again and again, until an error that is not temporary."""
    while True:
        try:
            feed.take({**await make(), "notice": ""})
        except Unavailable:
            feed.take({"notice": UNREACHABLE})
        except PolicydError as error:
            feed.error = error
            feed.wake()
            return
        await asyncio.sleep(INTERVAL)
