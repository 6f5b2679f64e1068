"""Plain requests of the front that wait for their turn, or for the thread of slow calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from policyd.errors import PolicydError
from policyd_server.acting.aside import SlowCalls
from policyd_server.acting.batcher import Asked, Batcher, PlainCall
from policyd_server.acting.direct import Conversation
from policyd_server.front.binding import Front
from policyd_server.transports.replies import Call, Replies

Came = tuple[Call[Conversation], bytes]  # a call, and the message as it arrived


class QueuedPlain:
    """The plain requests that wait, and those that have to queue as tickets after all.

    Used by the front's thread. For a slow version the thread of slow calls calls `done`.
    """

    def __init__(self, front: Front, batcher: Batcher, slow: SlowCalls, replies: Replies) -> None:
        self._front = front
        self._batcher = batcher
        self._slow = slow
        self._replies = replies
        self._waiting: set[int] = set()  # numbers of calls
        self._returned: deque[Came] = deque()

    def push(self, came: Came, asked: Asked, caller: bytes) -> None:
        """Queues a request. `caller`: the name of its caller. Exhausted: the queue is full."""
        (call, payload), is_slow = came, asked[0].model.slow
        if is_slow:  # it ends in another thread
            call = call._replace(about=call.about or self._replies.about(call.number))
        number, waiting = call.number, self._waiting

        def done(answer: bytes | None) -> None:
            if number not in waiting:
                return  # nobody waits for it any more
            waiting.discard(number)
            if answer is not None:
                self._replies.answer(call, call.talk.wrap(answer))
            else:
                self._returned.append((call, payload))
                self._front.wake()

        waiting.add(number)
        try:
            queue = self._slow if is_slow else self._batcher
            queue.push_plain(PlainCall(asked, caller, lambda: number in waiting, done))
        except PolicydError:
            waiting.discard(number)
            raise

    def forget(self, number: int) -> None:
        """Called when nobody waits for this call any more."""
        self._waiting.discard(number)

    def returned(self) -> Iterator[Came]:
        """Yields the requests that could not be answered. They begin as any other request."""
        while self._returned:
            yield self._returned.popleft()
