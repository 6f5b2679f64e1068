"""Batches what is already waiting, never waits for a batch."""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop
from collections.abc import Iterator, Sequence
from typing import Protocol

from server.acting import alike, call, quick
from server.acting.alike import Alike
from server.acting.plain import Plain
from server.acting.queue import SMALL_ROWS, FairQueue, Slice
from server.acting.ticket import Ticket
from server.models.version import LoadedVersion

Sample = tuple[bytes, bytes]  # of one request: its observations, float32, and the ActResponse


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

    def __init__(self, max_rows: int, observer: CallObserver | None = None, *, quick: bool = True) -> None:
        """`quick`: answers plain requests at once; only one thread may do so."""
        self.queue = FairQueue(max_rows)
        self._observer = observer
        self._quick = quick

    def push(self, ticket: Ticket) -> None:
        """Puts a request in line. Exhausted: the queue is full."""
        ticket.queued_at = time.perf_counter()
        self.queue.push(ticket)

    def at_once(self, plain: Plain) -> bytes | None:
        """The answer to a small plain request, which overtakes the queue. None: it has to queue."""
        if plain.rows > SMALL_ROWS:
            return None
        return self.together([plain])[0]

    def together(self, plain: Sequence[Plain]) -> list[bytes | None]:
        """Answers to plain requests for one version, by as few calls as hold them. None: it has to queue."""
        if not self._quick:
            return [None] * len(plain)
        bound = plain[0].model.bound
        assert bound is not None
        found: list[bytes | None] = []
        for part in _calls([one.rows for one in plain], bound.max_rows):
            found += self._one_call(plain[part]) or [None] * len(plain[part])
        return found

    def _one_call(self, plain: Sequence[Plain]) -> list[bytes] | None:
        if self._observer is None:
            return quick.answers(plain)
        begin = time.perf_counter()
        answers = quick.answers(plain)
        if answers is not None:
            rows, sample = sum([one.rows for one in plain]), (plain[0].observations, answers[0])
            seconds = time.perf_counter() - begin
            self._observer.answered_at_once(plain[0].model, len(plain), rows, sample, seconds)
        return answers

    def alike(self, group: Alike) -> list[bytes] | None:
        """Answers to requests that are written alike, by one call. None: each has to be read on its own."""
        begin = time.perf_counter()
        answers = alike.answers(group)
        if answers is not None and self._observer is not None:
            layout, (model, rows), payloads = group
            sample = (payloads[0][layout.start : layout.start + layout.size], answers[0])
            seconds = time.perf_counter() - begin
            self._observer.answered_at_once(model, len(payloads), rows * len(payloads), sample, seconds)
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


def _calls(counts: Sequence[int], max_rows: int) -> Iterator[slice]:
    """Neighbours that fit into one call of ONNX Runtime together."""
    start = rows = 0
    for place, count in enumerate(counts):
        if rows + count > max_rows:
            yield slice(start, place)
            start, rows = place, 0
        rows += count
    yield slice(start, len(counts))


class LoopBatcher:
    """A batcher on an event loop: each call answers what the handlers that ran before it have pushed.

    Between two calls the loop receives requests, so that nobody waits longer than one call to queue. Calls of
    a slow version run in another thread, one at a time, and the loop goes on receiving meanwhile.
    """

    def __init__(self, loop: AbstractEventLoop, batcher: Batcher) -> None:
        self._loop = loop
        self._batcher = batcher
        self._scheduled = False
        self._aside: asyncio.Task[None] | None = None

    def at_once(self, plain: Plain) -> bytes | None:
        """The answer to a small plain request. None: it has to queue."""
        return self._batcher.at_once(plain)

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
