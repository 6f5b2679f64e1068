"""Calls of the front that the event loop answers."""

from __future__ import annotations

import asyncio
from typing import Any

from policyd_server.transports.loading import LoadingCalls
from policyd_server.transports.replies import About, Call


class _Stream:
    """A stream whose second message comes as soon as the first is answered, and is answered late.

    It is the conversation and the front's side of it at once.
    """

    def __init__(self) -> None:
        self.begun, self.cancelled = asyncio.Event(), asyncio.Event()
        self.loading: Any = None

    async def answer(self, message: Any, *rest: Any) -> bytes:
        if message == b"first":
            return b""
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return b""


class _Replies:
    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def answer(self, call: Any, _: bytes) -> None:
        self._stream.loading.push(call, b"second", None)


def test_the_end_of_a_message_does_not_forget_the_next_one() -> None:
    """A client that leaves its stream ends the message that is being answered."""

    async def run() -> None:
        stream: Any = _Stream()
        replies: Any = _Replies(stream)
        stream.loading = LoadingCalls(asyncio.get_running_loop(), replies, lambda *_: None)
        call = Call(7, 0, stream, streams=True, about=About(b"", b"", 0.0))  # type: ignore[arg-type]  # not looked at
        stream.loading.push(call, b"first", None)
        async with asyncio.timeout(60):
            await stream.begun.wait()
            await asyncio.sleep(0)  # the first one's callbacks have run
            assert not stream.cancelled.is_set()
            stream.loading.forget(7)
            await stream.cancelled.wait()
        assert stream.cancelled.is_set()

    asyncio.run(run())
