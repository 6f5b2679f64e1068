"""Calls of the front whose requests queue."""

from __future__ import annotations

from collections.abc import Callable

from policyd.errors import PolicydError
from policyd_server.acting.aside import SlowCalls
from policyd_server.acting.batcher import Batcher
from policyd_server.acting.direct import Conversation, PendingRequest
from policyd_server.acting.ticket import Ticket
from policyd_server.transports.replies import Call, Replies


class QueuedCalls:
    """The calls that wait for their ticket's end, by number. Used by the front's thread.

    Tickets of slow versions end in the thread of slow calls.
    """

    def __init__(
        self,
        batcher: Batcher,
        slow: SlowCalls,
        replies: Replies,
        fail: Callable[[Call[Conversation], Exception], None],
    ) -> None:
        """`fail` ends a call with an error. It is called in the thread where the ticket ended."""
        self._batcher = batcher
        self._slow = slow
        self._replies = replies
        self._fail = fail
        self._waiting: dict[int, Ticket] = {}

    def push(self, call: Call[Conversation], begun: PendingRequest) -> None:
        """Queues a request. Exhausted: the queue is full."""
        number, ticket = call.number, begun.ticket
        if ticket.model.slow:  # it ends in another thread
            call = call._replace(about=call.about or self._replies.about(number))
        ticket.done = lambda ticket: self._end(call, begun, ticket)
        ticket.abandoned = lambda: number not in self._waiting
        self._waiting[number] = ticket
        try:
            (self._slow if ticket.model.slow else self._batcher).push(ticket)
        except PolicydError:
            del self._waiting[number]
            raise

    def forget(self, number: int) -> None:
        """Called when nobody waits for this call any more."""
        self._waiting.pop(number, None)

    def _end(self, call: Call[Conversation], begun: PendingRequest, ticket: Ticket) -> None:
        if self._waiting.pop(call.number, None) is None:
            return  # nobody waits for it any more
        if ticket.decision is not None:
            self._replies.answer(call, begun.encode(ticket, ticket.decision))
        else:
            begun.failed()
            self._fail(call, ticket.error or RuntimeError("a ticket ended without an answer"))
