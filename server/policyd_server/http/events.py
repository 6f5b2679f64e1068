"""Server-sent events, for pages and programs that watch.

A stream costs little and cannot cost more: what a slow reader has not taken waits in the source,
not here, and `protocol` cuts off a reader that takes nothing for a while.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from policyd.errors import Exhausted, PolicydError
from policyd_server.http import errors
from policyd_server.http.gateway import Gateway

MAX_STREAMS = 1024  # open at a time
HEARTBEAT_SECONDS = 15.0  # of silence, before a comment is sent
FIRST_SECONDS = 2.0  # for the first event; if it is an error, the response has the error's status
RETRY_MILLISECONDS = 1000  # after this a browser connects again
RETRY = f"retry: {RETRY_MILLISECONDS}\n\n".encode()  # what a stream begins with
HEARTBEAT = b": still here\n\n"
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # so that a proxy does not collect events
}


@dataclass(frozen=True)
class Event:
    """One event. `data` is sent as JSON, or unchanged if it is a text of one or more lines."""

    name: str
    data: Mapping[str, Any] | str
    id: str = ""

    @cached_property
    def encoded(self) -> bytes:
        """Returns the event's bytes. All readers of the event share them."""
        text = self.data if isinstance(self.data, str) else json.dumps(self.data, separators=(",", ":"))
        lines = [f"id: {self.id}"] if self.id else []
        lines += [f"event: {self.name}", *(f"data: {line}" for line in text.splitlines() or [""])]
        return ("\n".join(lines) + "\n\n").encode()


def check_room(gateway: Gateway) -> None:
    """Raises Exhausted if too many streams are open."""
    if gateway.streams >= MAX_STREAMS:
        raise Exhausted(f"{MAX_STREAMS} event streams are open", retry_after=5.0, reason="TOO_MANY_STREAMS")


async def stream(gateway: Gateway, source: AsyncIterator[Event]) -> Response:
    """Returns a response that sends the events of `source` and ends with it.

    An error before the first event is raised. A later error is sent as the event `error`, with the
    same JSON as any error, and ends the stream. Raises Exhausted if too many streams are open.
    """
    check_room(gateway)
    first = asyncio.ensure_future(anext(source))
    await asyncio.wait([first], timeout=FIRST_SECONDS)
    if first.done() and (error := first.exception()) and not isinstance(error, StopAsyncIteration):
        raise error
    return _EventStream(gateway, source, first)


class _EventStream(Response):
    def __init__(self, gateway: Gateway, source: AsyncIterator[Event], first: asyncio.Future[Event]) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._gateway = gateway
        self._source = source
        self._next = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI
        """Sends until the source ends, the client disconnects, or the process ends."""
        self._gateway.streams += 1
        gone = asyncio.ensure_future(until_gone(receive))
        stopping = asyncio.ensure_future(self._gateway.stopping.wait())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await take(send, RETRY)
            await self._send_events(send, {gone, stopping})
            await take(send, b"", more=False)
        finally:
            self._gateway.streams -= 1
            for task in (gone, stopping, self._next):
                task.cancel()
            await asyncio.gather(gone, stopping, self._next, return_exceptions=True)
            if (close := getattr(self._source, "aclose", None)) is not None:
                await close()

    async def _send_events(self, send: Send, ends: set[asyncio.Future[Any]]) -> None:
        while True:
            await asyncio.wait(
                {self._next, *ends}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if any(end.done() for end in ends):
                return
            if not self._next.done():
                await take(send, HEARTBEAT)
                continue
            try:
                event = self._next.result()
            except StopAsyncIteration:
                return
            except PolicydError as error:
                event = Event("error", errors.document(error))
                await take(send, event.encoded)
                return
            await take(send, event.encoded)
            self._next = asyncio.ensure_future(anext(self._source))


async def take(send: Send, body: bytes, *, more: bool = True) -> None:
    """Sends a part and returns when the client takes more, or has disconnected."""
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def until_gone(receive: Receive) -> None:
    """Returns when the client has disconnected."""
    with suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass
