"""What the native transport's thread does: it takes what the front has queued and answers it.

Everything that is queued at a moment is answered by as few calls of ONNX Runtime as hold it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Sequence
from concurrent.futures import Future

from pygrpc_native import EVENT_CALL

from policy_api.errors import Exhausted, PolicydError, Unavailable
from server.acting.batcher import Asked, Batcher
from server.acting.direct import Begun, DirectMethod
from server.acting.queue import SMALL_ROWS
from server.acting.ticket import Ticket
from server.models.version import MAX_CALL_ROWS, LoadedVersion
from server.transports.replies import Call, Event, Front, Handled, Replies

MAX_EVENTS = MAX_CALL_ROWS  # taken from the front at once
PATIENCE_MS = 100  # without events: how often it looks whether it is idle


class NativeLoop:
    """Answers direct methods from one thread; what has to be loaded first is answered by the event loop."""

    def __init__(
        self,
        front: Front,
        direct: Sequence[DirectMethod],
        batcher: Batcher,
        max_message_bytes: int,
        handled: Handled | None,
    ) -> None:
        """Made on the event loop. `handled` is told of every call's end."""
        self._front = front
        self._direct = direct
        self._batcher = batcher
        self._max_message_bytes = max_message_bytes
        self._replies = Replies(front, handled)
        # By the call's number: large plain requests, what queues, what the event loop answers.
        self._large: dict[int, tuple[Call, Asked]] = {}
        self._waiting: dict[int, Ticket] = {}
        self._aside: dict[int, Future[None]] = {}
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._draining = False
        self.idle = threading.Event()  # set once it drains and nothing is in flight

    def drain(self) -> None:
        """Refuses new calls from now on. From any thread."""
        self._draining = True

    def run(self) -> None:
        """The thread, until the front is closed."""
        patience = PATIENCE_MS
        while (events := self._front.recv_batch(MAX_EVENTS, patience)) is not None:
            self._take_all(events)
            patience = 0 if self._step(alone=len(events) == 1) else PATIENCE_MS
            if self._draining and not (patience == 0 or self._waiting or self._aside):
                self.idle.set()

    def _take_all(self, events: Sequence[Event]) -> None:
        """Answers small plain requests at once; the others begin."""
        now = time.perf_counter()
        gathered: dict[LoadedVersion, tuple[list[Call], list[Asked]]] = {}
        for kind, number, index, payload, _ in events:
            if kind != EVENT_CALL or payload is None:
                self._forget(number)
                continue
            method = self._direct[index]
            plain = None if self._draining else method.read(payload)
            if plain is None or len(payload) > self._max_message_bytes:
                self._begin((number, method, now), payload)
            elif plain.rows > SMALL_ROWS:
                self._wait_for_turn((number, method, now), (plain, payload))
            else:
                calls, asked = gathered.get(plain.model) or gathered.setdefault(plain.model, ([], []))
                calls.append((number, method, now))
                asked.append((plain, payload))
        for model, (calls, asked) in gathered.items():
            self._answer_plain(model, calls, asked)

    def _step(self, *, alone: bool) -> bool:
        """A turn of what waits: one large plain request, one call of the queue. Whether more waits.

        `alone`: what came last came alone.
        """
        queue = self._batcher.queue
        if self._large:
            call, asked = self._large.pop(next(iter(self._large)))
            queue.release(asked[0].rows)
            alone = alone and not (self._large or queue)
            self._answer_plain(asked[0].model, [call], [asked], alone=alone)
        if queue:
            self._batcher.step()
        return bool(self._large or queue)

    def _answer_plain(
        self, model: LoadedVersion, calls: list[Call], asked: list[Asked], *, alone: bool = False
    ) -> None:
        """Answers requests for one version; what turns out not to be plain begins as any other."""
        try:
            answers = self._batcher.together(model, asked, alone=alone)
        except Exception:  # noqa: BLE001 -- one fails all: each begins, and fails or succeeds on its own
            answers = [None] * len(asked)
        for call, (_, payload), answer in zip(calls, asked, answers, strict=True):
            if answer is None:
                self._begin(call, payload)
            else:
                self._replies.answer(call, answer)

    def _wait_for_turn(self, call: Call, asked: Asked) -> None:
        """Large requests are answered one after the other; what comes meanwhile and is small goes first."""
        try:
            self._batcher.queue.hold(asked[0].rows)
        except PolicydError as error:
            self._replies.fail(call, error)
        else:
            self._large[call[0]] = call, asked

    def _begin(self, call: Call, payload: bytes) -> None:
        """Queues a call, or lets the event loop answer it, or fails it."""
        try:
            self._check(payload)
            _, method, _ = call
            begun = method.begin(payload)
            if begun is not None:
                self._push(call, begun)
            else:
                self._answer_aside(call, payload)
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing a client sends ends a process
            self._replies.fail(call, error)

    def _check(self, payload: bytes) -> None:
        """Unavailable, Exhausted: this call is not taken."""
        if self._draining:
            raise Unavailable("the server is shutting down", retry_after=1.0, reason="DRAINING")
        if len(payload) > (limit := self._max_message_bytes):
            message = f"the message has {len(payload)} bytes, this server takes at most {limit}"
            raise Exhausted(message, retry_after=float("inf"), reason="MESSAGE_TOO_LARGE")

    def _push(self, call: Call, begun: Begun) -> None:
        number, _, _ = call

        def done(ticket: Ticket) -> None:
            self._waiting.pop(number, None)
            if ticket.decision is not None:
                self._replies.answer(call, begun.encode(ticket, ticket.decision))
            else:
                begun.failed()
                self._replies.fail(call, ticket.error or RuntimeError("a ticket ended without an answer"))

        ticket = begun.ticket
        ticket.done = done
        ticket.abandoned = lambda: number not in self._waiting
        self._batcher.push(ticket)
        self._waiting[number] = ticket

    def _answer_aside(self, call: Call, payload: bytes) -> None:
        """On the event loop, which loads versions and runs slow ones in a thread of their own."""
        number, _, _ = call
        answering = asyncio.run_coroutine_threadsafe(_answer_slowly(self._replies, call, payload), self._loop)
        self._aside[number] = answering
        answering.add_done_callback(lambda _: self._aside.pop(number, None))

    def _forget(self, number: int) -> None:
        """Of a call that nobody waits for any more."""
        self._waiting.pop(number, None)
        if (large := self._large.pop(number, None)) is not None:
            self._batcher.queue.release(large[1][0].rows)
        if (answering := self._aside.get(number)) is not None:
            answering.cancel()


async def _answer_slowly(replies: Replies, call: Call, payload: bytes) -> None:
    _, method, _ = call
    try:
        replies.answer(call, await method.answer(payload))
    except Exception as error:  # noqa: BLE001 -- the boundary: nothing a client sends ends a process
        replies.fail(call, error)
