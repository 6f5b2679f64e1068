"""The loop of the front's thread: it takes the requests that have arrived and answers them.

All requests that have arrived at a moment are answered in as few inference calls as possible.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

from policyd.errors import PolicydError
from policyd.runtime.guard import set_caller
from policyd.runtime.tls import KeptCertificate
from policyd_server.acting.aside import SlowCalls
from policyd_server.acting.batcher import Asked, Batcher
from policyd_server.acting.direct import Conversation, DirectMethod, Told
from policyd_server.acting.queue import SMALL_ROWS
from policyd_server.front import Event, binding
from policyd_server.front.binding import Front
from policyd_server.models.version import LoadedVersion
from policyd_server.transports.admission import Admission, Limits
from policyd_server.transports.arrivals import arrivals
from policyd_server.transports.draining import shutting_down
from policyd_server.transports.loading import LoadingCalls
from policyd_server.transports.queued import QueuedCalls
from policyd_server.transports.queued_plain import Came, QueuedPlain
from policyd_server.transports.replies import Call, Replies

_LOG = logging.getLogger(__name__)


class FrontLoop:
    """Answers direct methods in one thread.

    Slow policies have another thread. The event loop loads versions.
    """

    def __init__(
        self,
        front: Front,
        methods: Sequence[DirectMethod],
        batcher: Batcher,
        slow: SlowCalls,
        replies: Replies,
        limits: Limits,
        needed: Callable[[], None] = lambda: None,
    ) -> None:
        """Created on the event loop. `needed`: called when the server behind has to start."""
        self._front = front
        self._kept = KeptCertificate()
        self._methods = methods
        self._unary = [None if method.streams else method.open() for method in methods]
        self._batcher = batcher
        self._queued = QueuedCalls(batcher, slow, replies, self._fail)
        self._queued_plain = QueuedPlain(front, batcher, slow, replies)
        self._replies = replies
        self._needed = needed
        self._admission = Admission(front, methods, replies, limits)
        self._streams: dict[int, Call[Conversation]] = {}
        self._loading = LoadingCalls(asyncio.get_running_loop(), replies, self._fail)
        self._arrivals = arrivals(front, methods, self._streams, batcher, replies, self._admission)
        self._draining = self._closed = False
        self.idle = threading.Event()  # set when it drains and none of its calls is in flight
        self.sent = threading.Event()  # set when it drains and no connection is open

    def drain(self) -> None:
        """Accepts no more connections. `idle` is set when all calls have ended. From any thread."""
        self._draining = True
        self._front.drain()

    def close(self) -> None:
        """Ends the thread. From any thread."""
        self._closed = True
        self._front.wake()

    def run(self) -> None:
        """Runs in the thread until `close`."""
        busy = False
        while not self._closed:
            events = self._arrivals.wait(0 if busy else 100 if self._draining else -1)
            self._take_all(events)
            for call, payload in self._queued_plain.returned():
                self._begin(call, payload)
            self._batcher.step(alone=len(events) == 1)
            busy = bool(self._batcher)
            if self._draining:
                self._note_end()

    def _note_end(self) -> None:
        if self._front.own_calls == 0:
            self.idle.set()
        if self._front.connections == 0:
            self.sent.set()

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
            if rows > SMALL_ROWS or (model.slow and not _is_quick(model, rows, all_asked)):
                self._push_plain((call, payload), asked)
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

    def _answer_plain(self, model: LoadedVersion, came: list[Came], asked: list[Asked]) -> None:
        """Answers requests for one version. A request that is not plain after all is decoded."""

        def caller_of(place: int) -> bytes:
            call = came[place][0]
            return self._admission.caller_name(call.number, call.method)

        try:
            answers = self._batcher.together(model, asked, caller_of=caller_of)
        except Exception:  # noqa: BLE001 -- one request can fail all, so each begins again and is answered alone
            answers = [None] * len(asked)
        for (call, payload), answer in zip(came, answers, strict=True):
            if answer is None:
                self._begin(call, payload)
            else:
                self._replies.answer(call, call.talk.wrap(answer))

    def _begin(self, call: Call[Conversation], payload: bytes) -> None:
        """Answers a message, queues it, passes it to the event loop, or fails it."""
        try:
            if self._admission.knows_callers:
                set_caller(self._admission.caller(call.number, call.method))
            begun = call.talk.begin(payload)
            if isinstance(begun, bytes):
                self._replies.answer(call, begun)
            elif isinstance(begun, Told):
                self._replies.tell(call, begun)
            elif begun is not None:
                self._queued.push(call, begun)
            else:
                self._loading.push(call, payload, self._admission.caller(call.number, call.method))
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing that a client sends may end the process
            self._fail(call, error)

    def _push_plain(self, came: Came, asked: Asked) -> None:
        """Queues a large plain request, or one for a slow version."""
        call = came[0]
        try:
            self._queued_plain.push(came, asked, self._admission.caller_name(call.number, call.method))
        except PolicydError as error:
            self._fail(call, error)

    def _fail(self, call: Call[Conversation], error: Exception) -> None:
        if self._replies.fail(call, error):
            self._streams.pop(call.number, None)
            call.talk.close()

    # --- events of calls that are not messages ---

    def _note(self, event: Event) -> None:
        kind, number, method, _, size = event
        if kind == binding.GONE:
            self._forget(number)
        elif kind == binding.ENDED:
            self._end(number)
        elif kind == binding.WAITS:
            self._end_waiting(number, method)
        elif kind == binding.AUTHORIZE:
            self._admission.authorize(number, method)
        elif kind == binding.TOO_LARGE:
            self._admission.refuse(number, method, size, self._streams.pop(number, None))
        elif kind == binding.UPSTREAM:
            self._needed()
        elif kind == binding.RENEWED:
            _LOG.info("read the renewed certificate")
        elif kind == binding.BAD_CERTIFICATE:
            self._kept.log(str(self._front.tls_error))

    def _forget(self, number: int) -> None:
        """Forgets a call that nobody waits for any more."""
        self._queued.forget(number)
        self._queued_plain.forget(number)
        self._loading.forget(number)
        self._close_stream(number, "CANCELLED")

    def _end(self, number: int) -> None:
        """Ends a stream whose client sends no more, after its last response."""
        self._close_stream(number, "OK")
        self._front.finish(number)

    def _end_waiting(self, number: int, method: int) -> None:
        """Ends a call that waits for its client. Otherwise it would delay the server's end."""
        call = self._call(number, method)
        self._replies.end(call, shutting_down())
        if call.streams:
            self._streams.pop(number, None)
            call.talk.close()

    def _close_stream(self, number: int, code: str) -> None:
        if (stream := self._streams.pop(number, None)) is not None:
            self._replies.trace(stream, code)
            stream.talk.close()


def _is_quick(model: LoadedVersion, rows: int, asked: Sequence[Asked]) -> bool:
    """Whether a slow version can answer these rows at once, with what is gathered for it."""
    room = 0 if model.bound is None else model.bound.max_rows
    return rows + sum([plain.rows for plain, _ in asked]) <= room
