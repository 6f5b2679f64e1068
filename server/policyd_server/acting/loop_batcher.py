"""Batching on an event loop, for grpc.aio."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, Future

from policyd.runtime.guard import current_caller
from policyd_server.acting.batcher import Asked, Batcher, PlainCall
from policyd_server.acting.queue import SMALL_ROWS, Slice
from policyd_server.acting.ticket import Ticket


class LoopBatcher:
    """A batcher on an event loop.

    Each inference call answers what handlers have queued before it. Between two calls the loop
    receives requests, so nobody waits longer than one call to get into the queue. Calls of a slow
    version run in another thread, one at a time, and the loop goes on receiving.
    """

    def __init__(self, loop: AbstractEventLoop, batcher: Batcher, *, in_place: bool) -> None:
        """`in_place`: whether plain requests are answered in place.

        Behind the front they are not, because its thread uses the buffers of the versions.
        """
        self._loop = loop
        self._batcher = batcher
        self._in_place = in_place
        self._scheduled = False
        self._aside: asyncio.Task[None] | None = None

    async def plain(self, asked: Asked) -> bytes | None:
        """Returns the ActResponse to a plain request: a small one at once, a large one in its turn.

        None: the request has to queue as a ticket. Raises Exhausted if the queue is full.
        """
        (model, _, rows, _), _ = asked
        bound = model.bound
        if not self._in_place or bound is None or rows > bound.max_rows:
            return None
        if rows > SMALL_ROWS:
            return await self._in_turn(asked)
        try:
            return self._batcher.together(model, [asked], caller_of=_caller)[0]
        except Exception:  # noqa: BLE001 -- the ticket fails in the same way, and its error is told
            return None

    async def _in_turn(self, asked: Asked) -> bytes | None:
        answered: Future[bytes | None] = self._loop.create_future()

        def done(answer: bytes | None) -> None:
            if not answered.done():
                answered.set_result(answer)

        self._batcher.push_plain(PlainCall(asked, _caller(0), lambda: not answered.done(), done))
        self._schedule()
        return await answered

    def submit(self, ticket: Ticket) -> None:
        """Queues a request. `ticket.done` is called when it has ended.

        Raises Exhausted if the queue is full.
        """
        self._batcher.push(ticket)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._step)

    def _step(self) -> None:
        self._batcher.answer_large(alone=True)
        slices = self._batcher.queue.take() if self._batcher.queue else []
        if slices and slices[0].ticket.model.slow:
            self._aside = self._loop.create_task(self._answer_aside(slices))
            return
        self._batcher.answer(slices)
        self._go_on()

    async def _answer_aside(self, slices: list[Slice]) -> None:
        """Computes in another thread, then calls the tickets' `done` on the event loop."""
        tickets = [(piece.ticket, piece.ticket.done) for piece in slices]
        ended: list[Ticket] = []
        for ticket, _ in tickets:
            ticket.done = ended.append
        await asyncio.to_thread(self._batcher.answer, slices)
        for ticket, done in tickets:
            ticket.done = done
        for ticket in ended:
            ticket.end()
        self._go_on()

    def _go_on(self) -> None:
        if self._batcher:
            self._loop.call_soon(self._step)
        else:
            self._scheduled = False


def _caller(_: int) -> bytes:
    """Returns the name of the caller of the current call; empty: callers have no names."""
    caller = current_caller()
    return caller.name.encode() if caller is not None else b""
