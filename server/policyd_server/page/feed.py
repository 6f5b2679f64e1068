"""The newest state of one live page, and the pages that are told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from starlette.types import Send

from policyd.errors import PolicydError
from policyd_server.http import events
from policyd_server.http.events import Event

#: Readers that are sent a change at once. Pauses between the groups let requests for actions pass.
GROUP = 25

Parts = Mapping[str, str]  # HTML by the id of the element that holds it


@dataclass(eq=False)
class Reader:
    """One open page."""

    send: Send
    takes_nothing: Callable[[], bool]  # at the moment: what was sent before waits for it
    since: int  # the look that had begun when the page asked for its events: it may be older than the page
    begun: bool = False  # whether its response has
    seen: int = 0  # the turn of the newest part that it was sent

    @property
    def takes(self) -> bool:
        """Whether something can be sent without waiting."""
        return self.begun and not self.takes_nothing()

    async def take(self, body: bytes) -> None:
        """Sends something. A connection that is being cut off takes it as any other."""
        with suppress(RuntimeError):  # uvloop's: the connection is closed, and soon everybody is told
            await events.take(self.send, body)


@dataclass
class Feed:
    """What the readers of one page are told."""

    # By id: when it changed, its HTML, and the event that tells it to all readers.
    parts: dict[str, tuple[int, str, Event]] = field(default_factory=dict)
    turn: int = 0
    readers: set[Reader] = field(default_factory=set)
    joining: int = 0  # requests that wait for a first look
    looks: int = 0  # that have begun
    look: int = 0  # that the parts come from
    looked: asyncio.Event = field(default_factory=asyncio.Event)  # for the first time
    hurry: asyncio.Event = field(default_factory=asyncio.Event)  # set when a page waits for a new look
    over: asyncio.Event = field(default_factory=asyncio.Event)
    error: PolicydError | None = None  # that has ended it
    told: float = field(default_factory=time.monotonic)  # when all readers were sent something
    cost: float = 0.0  # seconds of CPU time since the last look began

    def begin(self) -> None:
        """Begins a look."""
        self.looks += 1
        self.hurry.clear()
        self.cost = 0.0

    def take(self, parts: Parts) -> None:
        """Notes what is new since the look before."""
        self.look = self.looks
        new = {name: html for name, html in parts.items() if self._html(name) != html}
        if new:
            self.turn += 1
            for name, html in new.items():
                self.parts[name] = (self.turn, html, Event("part", {"id": name, "html": html}))
        self.looked.set()

    def end(self, error: PolicydError) -> None:
        """Tells all readers that there is no more."""
        self.error = error
        self.looked.set()
        self.over.set()

    async def tell(self, reader: Reader) -> None:
        """Sends a reader what it has not seen, if it takes anything."""
        if self._is_behind(reader) and reader.takes:
            new = [event.encoded for turn, _, event in self.parts.values() if turn > reader.seen]
            reader.seen = self.turn
            await reader.take(b"".join(new))

    async def tell_all(self, seconds: float) -> None:
        """Sends every reader what it has not seen, or a comment after a long silence.

        `seconds`: over which the groups of readers are spread.
        """
        silent = time.monotonic() - self.told > events.HEARTBEAT_SECONDS
        behind = [reader for reader in self.readers if silent or self._is_behind(reader)]
        for begin in range(0, len(behind), GROUP):
            if begin:
                await asyncio.sleep(seconds * GROUP / len(behind))
            with self.counting():
                for reader in self.readers.intersection(behind[begin : begin + GROUP]):
                    if silent and reader.seen == self.turn and reader.takes:
                        await reader.take(events.HEARTBEAT)
                    await self.tell(reader)
        if behind:
            self.told = time.monotonic()

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Adds the CPU time of the block to the cost."""
        begin = time.thread_time()
        try:
            yield
        finally:
            self.cost += time.thread_time() - begin

    def _is_behind(self, reader: Reader) -> bool:
        """Whether there is something newer than its page that the reader has not seen."""
        return self.look > reader.since and reader.seen < self.turn

    def _html(self, name: str) -> str | None:
        return self.parts[name][1] if name in self.parts else None
