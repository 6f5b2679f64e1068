"""Batches what is already waiting, never waits for a batch."""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop
from collections.abc import Sequence
from typing import Protocol

from server.acting import call
from server.acting.plain import Plain
from server.acting.queue import SMALL_ROWS, FairQueue, Slice
from server.acting.ticket import Ticket
from server.models.version import LoadedVersion

Sample = tuple[bytes, bytes]  # of one request: its observations, float32, and the ActResponse


Asked = tuple[Plain, bytes]  # a plain request: what it asks, and its bytes


class CallObserver(Protocol):
    """Is told of every call of ONNX Runtime; the seam for metrics."""

    def called(self, slices: Sequence[Slice], queued: Sequence[float], seconds: float) -> None:
        """After a call: its rows, how long each slice had waited and how long the call took, in seconds."""

    def answered_at_once(
        self, model: LoadedVersion, requests: int, rows: int, sample: Sample, seconds: float
    ) -> None:
        """After a call for requests that did not queue; `seconds`: how long it took."""


class Batcher:
    """A queue and the calls that empty it, within one thread.

    An observer costs its time only where there is one.
    """

    def __init__(self, max_rows: int, observer: CallObserver | None = None, *, thread: int = 0) -> None:
        """`thread`: which of ANSWERING_THREADS this is; each has buffers of its own."""
        self.queue = FairQueue(max_rows)
        self._observer = observer
        self._thread = thread

    def push(self, ticket: Ticket) -> None:
        """Puts a request in line. Exhausted: the queue is full."""
        ticket.queued_at = time.perf_counter()
        self.queue.push(ticket)

    def together(
        self, model: LoadedVersion, asked: list[Asked], *, alone: bool = False
    ) -> list[bytes | None]:
        """Answers to plain requests for one version, by as few calls as hold them. None: it has to queue.

        `alone`: nobody waits behind them.
        """
        bound = model.bounds[self._thread]
        answered = bound.answers_alone if alone else bound.answers
        if self._observer is None:
            return answered(asked)
        begin = time.perf_counter()
        answers = answered(asked)
        _tell(self._observer, asked, answers, time.perf_counter() - begin)
        return answers

    def step(self) -> None:
        """One call for what waits now."""
        self.answer(self.queue.take())

    def answer(self, slices: Sequence[Slice]) -> None:
        """One call for rows of one version. In any thread: `done` of its tickets is called there."""
        if not slices:
            return
        begin = time.perf_counter()
        for piece in slices:
            piece.ticket.called_at = begin
        call.answer(slices)
        if self._observer is None:
            return
        waited = [begin - piece.ticket.queued_at for piece in slices]
        self._observer.called(slices, waited, time.perf_counter() - begin)


def _tell(observer: CallObserver, asked: list[Asked], answers: list[bytes | None], seconds: float) -> None:
    """Of the plain requests that were answered."""
    answered = [(plain, payload) for (plain, payload), answer in zip(asked, answers, strict=True) if answer]
    if not answered:
        return
    (model, start, rows), payload = answered[0]
    sample = (payload[start : start + rows * model.observation_bytes], next(filter(None, answers)))
    observer.answered_at_once(
        model, len(answered), sum([plain.rows for plain, _ in answered]), sample, seconds
    )


class LoopBatcher:
    """A batcher on an event loop: each call answers what the handlers that ran before it have pushed.

    Between two calls the loop receives requests, so that nobody waits longer than one call to queue. Calls of
    a slow version run in another thread, one at a time, and the loop goes on receiving meanwhile.
    """

    def __init__(self, loop: AbstractEventLoop, batcher: Batcher) -> None:
        self._loop = loop
        self._batcher = batcher
        self._scheduled = False
        self._turn = asyncio.Lock()  # of large plain requests
        self._had_turn = False  # whether one was answered since the loop last received
        self._aside: asyncio.Task[None] | None = None

    def at_once(self, plain: Plain, payload: bytes) -> bytes | None:
        """The answer to a plain request that is small, or alone. None: `in_turn` has to be asked."""
        large = plain.rows > SMALL_ROWS
        if large and not self._takes_turn():
            return None
        return self._batcher.together(plain.model, [(plain, payload)], alone=large)[0]

    def _takes_turn(self) -> bool:
        """Whether a large request is answered now: one between two receptions, where nobody waits."""
        if self._had_turn or self._turn.locked() or self._batcher.queue:
            return False
        self._had_turn = True
        self._loop.call_soon(self._end_turn)
        return True

    def _end_turn(self) -> None:
        self._had_turn = False

    async def in_turn(self, plain: Plain, payload: bytes) -> bytes | None:
        """The answer to a large plain request, one after the other; what has come meanwhile goes first.

        None: it has to queue. Exhausted: too much waits.
        """
        queue = self._batcher.queue
        queue.hold(plain.rows)
        try:
            async with self._turn:
                await asyncio.sleep(0)  # the loop's turn
                return self._batcher.together(plain.model, [(plain, payload)])[0]
        finally:
            queue.release(plain.rows)

    def submit(self, ticket: Ticket) -> None:
        """Puts a request in line; `ticket.done` is called when it has ended. Exhausted: the queue is full."""
        self._batcher.push(ticket)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._step)

    def _step(self) -> None:
        slices = self._batcher.queue.take()
        if slices and slices[0].ticket.model.slow:
            self._aside = self._loop.create_task(self._answer_aside(slices))
            return
        self._batcher.answer(slices)
        self._go_on()

    async def _answer_aside(self, slices: list[Slice]) -> None:
        """In another thread; who waits is told on the loop."""
        tickets = [(piece.ticket, piece.ticket.done) for piece in slices]
        ended: list[Ticket] = []
        for ticket, _ in tickets:
            ticket.done = ended.append
        await asyncio.to_thread(self._batcher.answer, slices)
        for ticket, done in tickets:
            ticket.done = done
        for ticket in ended:
            ticket.done(ticket)
        self._go_on()

    def _go_on(self) -> None:
        if self._batcher.queue:
            self._loop.call_soon(self._step)
        else:
            self._scheduled = False
