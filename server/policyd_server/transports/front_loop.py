"""The loop of the front's thread: it takes the requests that have arrived and answers them.

All requests that have arrived at a moment are answered in as few inference calls as possible.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple

from policyd.errors import Exhausted, PolicydError
from policyd.runtime.callers import Caller
from policyd.runtime.guard import Gate, set_caller
from policyd_server.acting.aside import PlainCall, SlowCalls
from policyd_server.acting.batcher import Asked, Batcher
from policyd_server.acting.direct import Conversation, DirectMethod, Ending, PendingRequest, Refused
from policyd_server.acting.queue import SMALL_ROWS
from policyd_server.acting.ticket import Ticket
from policyd_server.front import Event, binding
from policyd_server.front.binding import Front
from policyd_server.models.version import LoadedVersion
from policyd_server.transports.draining import shutting_down
from policyd_server.transports.replies import Call, Replies

# A caller whose credentials were right is asked again on the same connection after so many seconds.
VERDICT_SECONDS = 0.25

Came = tuple[Call[Conversation], bytes]  # with the message as it came

_LOG = logging.getLogger(__name__)
_REFUSED = Refused()


class Limits(NamedTuple):
    """Who may call, and how much at once."""

    max_message_bytes: int
    gate: Gate | None


class FrontLoop:
    """Answers direct methods from one thread.

    Slow policies have another, loading is the event loop's.
    """

    def __init__(
        self,
        front: Front,
        methods: Sequence[DirectMethod],
        batcher: Batcher,
        slow: SlowCalls,
        replies: Replies,
        limits: Limits,
    ) -> None:
        """Made on the event loop."""
        self._front = front
        self._methods = methods
        self._unary = [None if method.streams else method.open() for method in methods]
        self._batcher = batcher
        self._slow = slow
        self._replies = replies
        self._limits = limits
        self._streams: dict[int, Call[Conversation]] = {}
        # By the call's number: large plain requests, what queues, what the event loop answers.
        self._large: dict[int, tuple[Came, Asked]] = {}
        self._waiting: dict[int, Ticket] = {}
        self._aside: dict[int, Future[None]] = {}
        # Plain requests that the thread of slow calls has, and those that it could not answer.
        self._slow_plain: set[int] = set()
        self._returned: deque[Came] = deque()
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._draining = self._closed = False
        self.idle = threading.Event()  # set once it drains and none of its calls is in flight

    def drain(self) -> None:
        """Takes no more connections; `idle` is set when all calls have ended. From any thread."""
        self._draining = True
        self._front.drain()

    def close(self) -> None:
        """Ends the thread. From any thread."""
        self._closed = True
        self._front.wake()

    def run(self) -> None:
        """The thread, until `close`."""
        busy = False
        while not self._closed:
            events = self._front.wait(0 if busy else 100 if self._draining else -1)
            self._take_all(events)
            while self._returned:
                self._begin(*self._returned.popleft())
            busy = self._step(alone=len(events) == 1)
            if self._draining and self._front.own_calls == 0:
                self.idle.set()

    def _take_all(self, events: Sequence[Event]) -> None:
        """Answers small plain requests at once, and decodes the others."""
        gathered: dict[LoadedVersion, tuple[list[Came], list[Asked]]] = {}
        for event in events:
            kind, number, method, payload, _ = event
            if kind != binding.MESSAGE or payload is None:
                self._note(event)
                continue
            call = self._call(number, method)
            asked = call.talk.read(payload)
            if asked is None:
                self._begin(call, payload)
                continue
            model, rows = asked[0].model, asked[0].rows
            came, all_asked = gathered.get(model) or gathered.setdefault(model, ([], []))
            if model.slow and not _is_quick(model, rows, all_asked):
                self._push_plain((call, payload), asked)
            elif rows > SMALL_ROWS:
                self._wait_for_turn((call, payload), asked)
            else:
                came.append((call, payload))
                all_asked.append(asked)
        for model, (came, all_asked) in gathered.items():
            if came:
                self._answer_plain(model, came, all_asked)

    def _call(self, number: int, method: int) -> Call[Conversation]:
        talk = self._unary[method]
        if talk is not None:
            about = None if self._replies.traced is None else self._replies.about(number)
            return Call(number, method, talk, streams=False, about=about)
        call = self._streams.get(number)
        if call is None:
            talk = self._methods[method].open()
            call = Call(number, method, talk, streams=True, about=self._replies.about(number))
            self._streams[number] = call
        return call

    def _step(self, *, alone: bool) -> bool:
        """Answers one large plain request and makes one inference call for the queue.

        Returns whether more requests wait. `alone`: the last request arrived alone.
        """
        queue = self._batcher.queue
        if self._large:
            came, asked = self._large.pop(next(iter(self._large)))
            queue.release(asked[0].rows)
            alone = alone and not (self._large or queue)
            self._answer_plain(asked[0].model, [came], [asked], alone=alone)
        if queue:
            self._batcher.step()
        return bool(self._large or queue)

    def _answer_plain(
        self, model: LoadedVersion, came: list[Came], asked: list[Asked], *, alone: bool = False
    ) -> None:
        """Answers requests for one version; what turns out not to be plain begins as any other."""
        caller_of = None if self._limits.gate is None else lambda place: self._caller_name(came[place][0])
        try:
            answers = self._batcher.together(model, asked, alone=alone, caller_of=caller_of)
        except Exception:  # noqa: BLE001 -- one fails all: each begins, and fails or succeeds on its own
            answers = [None] * len(asked)
        for (call, payload), answer in zip(came, answers, strict=True):
            if answer is None:
                self._begin(call, payload)
            else:
                self._replies.answer(call, call.talk.wrap(answer))

    def _wait_for_turn(self, came: Came, asked: Asked) -> None:
        """Large requests are answered one after the other.

        What comes meanwhile and is small goes first.
        """
        try:
            self._batcher.queue.hold(asked[0].rows)
        except PolicydError as error:
            self._fail(came[0], error)
        else:
            self._large[came[0].number] = came, asked

    def _begin(self, call: Call[Conversation], payload: bytes) -> None:
        """Answers a message, queues it, lets the event loop answer it, or fails it."""
        try:
            if self._limits.gate is not None:
                set_caller(self._caller_of(call))
            begun = call.talk.begin(payload)
            if isinstance(begun, bytes):
                self._replies.answer(call, begun)
            elif begun is not None:
                self._push(call, begun)
            else:
                self._answer_aside(call, payload)
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing a client sends ends a process
            self._fail(call, error)

    def _push(self, call: Call[Conversation], begun: PendingRequest) -> None:
        number = call.number

        def done(ticket: Ticket) -> None:
            if self._waiting.pop(number, None) is None:
                return  # nobody waits for it any more
            if ticket.decision is not None:
                self._replies.answer(call, begun.encode(ticket, ticket.decision))
            else:
                begun.failed()
                self._fail(call, ticket.error or RuntimeError("a ticket ended without an answer"))

        ticket = begun.ticket
        slow = ticket.model.slow
        if slow:  # `done` is called in another thread
            call = call._replace(about=call.about or self._replies.about(number))
        ticket.done = done
        ticket.abandoned = lambda: number not in self._waiting
        self._waiting[number] = ticket
        try:
            (self._slow if slow else self._batcher).push(ticket)
        except PolicydError:
            del self._waiting[number]
            raise

    def _push_plain(self, came: Came, asked: Asked) -> None:
        """Lets the thread of slow calls answer a plain request."""
        call, payload = came[0], came[1]
        call = call._replace(about=call.about or self._replies.about(call.number))
        number, waiting = call.number, self._slow_plain

        def done(answer: bytes | None) -> None:  # in that thread
            if number not in waiting:
                return  # nobody waits for it any more
            waiting.discard(number)
            if answer is not None:
                self._replies.answer(call, call.talk.wrap(answer))
            else:
                self._returned.append((call, payload))
                self._front.wake()

        caller = b"" if self._limits.gate is None else self._caller_name(call)
        waiting.add(number)
        try:
            self._slow.push_plain(PlainCall(asked, caller, lambda: number in waiting, done))
        except PolicydError as error:
            waiting.discard(number)
            self._fail(call, error)

    def _answer_aside(self, call: Call[Conversation], payload: bytes) -> None:
        """On the event loop, which loads versions."""
        call = call._replace(about=call.about or self._replies.about(call.number))
        slowly = self._answer_slowly(call, payload, self._caller_of(call))
        answering = asyncio.run_coroutine_threadsafe(slowly, self._loop)
        self._aside[call.number] = answering
        answering.add_done_callback(lambda _: self._aside.pop(call.number, None))

    def _caller_of(self, call: Call[Conversation]) -> Caller | None:
        """Who calls, where callers are known. The call was admitted."""
        gate = self._limits.gate
        if gate is None or gate.authorizer.is_open(self._methods[call.method].path):
            return None
        authorization, common_name, _ = self._front.credentials(call.number)
        return gate.authorizer.caller(authorization, common_name)

    def _caller_name(self, call: Call[Conversation]) -> bytes:
        caller = self._caller_of(call)
        return caller.name.encode() if caller is not None else b""

    async def _answer_slowly(self, call: Call[Conversation], payload: bytes, caller: Caller | None) -> None:
        set_caller(caller)
        try:
            self._replies.answer(call, await call.talk.answer(payload))
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing a client sends ends a process
            self._fail(call, error)

    def _fail(self, call: Call[Conversation], error: Exception) -> None:
        if self._replies.fail(call, error):
            self._streams.pop(call.number, None)
            call.talk.close()

    # --- what is told of calls besides messages ---

    def _note(self, event: Event) -> None:
        kind, number, method, _, size = event
        if kind == binding.GONE:
            self._forget(number)
        elif kind == binding.ENDED:
            self._end(number)
        elif kind == binding.WAITS:
            self._end_waiting(number, method)
        elif kind == binding.AUTHORIZE:
            self._authorize(number, method)
        elif kind == binding.TOO_LARGE:
            self._refuse(number, method, size)
        elif kind == binding.RENEWED:
            _LOG.info("read the renewed certificate")
        elif kind == binding.BAD_CERTIFICATE:
            _LOG.error("the certificate stays as it was: %s", self._front.tls_error)

    def _forget(self, number: int) -> None:
        """Forgets a call that nobody waits for any more."""
        self._waiting.pop(number, None)
        self._slow_plain.discard(number)
        if (large := self._large.pop(number, None)) is not None:
            self._batcher.queue.release(large[1][0].rows)
        if (answering := self._aside.get(number)) is not None:
            answering.cancel()
        self._close_stream(number, "CANCELLED")

    def _end(self, number: int) -> None:
        """A stream's client sends no more, and all is answered."""
        self._close_stream(number, "OK")
        self._front.finish(number)

    def _end_waiting(self, number: int, method: int) -> None:
        """A stream between two requests does not hold the end of the server up."""
        call = self._call(number, method)
        self._replies.end(call, shutting_down())
        self._streams.pop(number, None)
        call.talk.close()

    def _close_stream(self, number: int, code: str) -> None:
        if (stream := self._streams.pop(number, None)) is not None:
            self._replies.trace(stream, code)
            stream.talk.close()

    def _authorize(self, number: int, method: int) -> None:
        gate, path = self._limits.gate, self._methods[method].path
        if gate is not None and not gate.authorizer.is_open(path):
            try:
                gate.admit(path, *self._front.credentials(number))
            except PolicydError as error:
                self._replies.end(Call(number, method, _REFUSED, streams=False), error)
                return
        self._front.admit(number, VERDICT_SECONDS)

    def _refuse(self, number: int, method: int, size: int) -> None:
        limit = self._limits.max_message_bytes
        message = f"the message has {size} bytes or more, this server takes at most {limit}"
        error = Exhausted(message, retry_after=float("inf"), reason="MESSAGE_TOO_LARGE")
        call: Call[Ending] | None = self._streams.pop(number, None)
        if call is None:
            call = Call(number, method, _REFUSED, streams=False)
        self._replies.end(call, error)
        call.talk.close()


def _is_quick(model: LoadedVersion, rows: int, asked: Sequence[Asked]) -> bool:
    """Whether a slow version answers these rows in place, beside what is gathered for it."""
    room = 0 if model.bound is None else model.bound.max_rows
    return rows + sum([plain.rows for plain, _ in asked]) <= room
