"""Calls of the front that the event loop answers, because a version has to be loaded first."""

from __future__ import annotations

import asyncio
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from policyd.runtime.callers import Caller
from policyd.runtime.guard import set_caller
from policyd_server.acting.direct import Conversation
from policyd_server.transports.replies import Call, Replies


class LoadingCalls:
    """The calls that wait for the event loop, by number."""

    def __init__(
        self, loop: AbstractEventLoop, replies: Replies, fail: Callable[[Call[Conversation], Exception], None]
    ) -> None:
        """`fail` ends a call with an error; it is called on the event loop."""
        self._loop = loop
        self._replies = replies
        self._fail = fail
        self._answering: dict[int, Future[None]] = {}
        self._changing = threading.Lock()  # of `_answering`, which both threads change

    def push(self, call: Call[Conversation], payload: bytes, caller: Caller | None) -> None:
        """Passes a call to the event loop. On the front's thread."""
        number = call.number
        call = call._replace(about=call.about or self._replies.about(number))
        answering = asyncio.run_coroutine_threadsafe(self._answer(call, payload, caller), self._loop)
        with self._changing:
            self._answering[number] = answering
        answering.add_done_callback(partial(self._ended, number))

    def forget(self, number: int) -> None:
        """Called when nobody waits for this call any more."""
        if (answering := self._answering.get(number)) is not None:
            answering.cancel()

    def _ended(self, number: int, answering: Future[None]) -> None:
        """Forgets what has ended, unless the stream's next message already has its place."""
        with self._changing:
            if self._answering.get(number) is answering:
                del self._answering[number]

    async def _answer(self, call: Call[Conversation], payload: bytes, caller: Caller | None) -> None:
        set_caller(caller)
        try:
            self._replies.answer(call, await call.talk.answer(payload))
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing that a client sends may end the process
            self._fail(call, error)
