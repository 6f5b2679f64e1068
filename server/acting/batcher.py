"""Batches what is already waiting, never waits for a batch."""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from collections.abc import Iterator, Sequence
from typing import Protocol

from policy_api.v1.policy_pb2 import ActRequest
from server.acting import call, quick
from server.acting.queue import FairQueue, Slice
from server.acting.ticket import Ticket
from server.models.version import MAX_CALL_ROWS, LoadedVersion


class CallObserver(Protocol):
    """Is told of every call of ONNX Runtime; the seam for metrics."""

    def called(self, slices: Sequence[Slice], queued: Sequence[float], seconds: float) -> None:
        """After a call: its rows, how long each slice had waited and how long the call took, in seconds."""

    def answered_at_once(
        self, model: LoadedVersion, request: ActRequest, answer: bytes, seconds: float
    ) -> None:
        """After a request of one row that did not queue: how long it took, in seconds."""

    def answered_together(
        self,
        model: LoadedVersion,
        requests: Sequence[ActRequest],
        rows: int,
        answers: Sequence[bytes],
        seconds: float,
    ) -> None:
        """After a call for several requests that did not queue: all their rows, how long the call took."""


class Batcher:
    """A queue and the calls that empty it, within one thread.

    An observer costs its time only where there is one.
    """

    def __init__(self, max_rows: int, observer: CallObserver | None = None, *, quick: bool = True) -> None:
        """`quick`: answers plain requests at once; of one version one thread may do so."""
        self.queue = FairQueue(max_rows)
        self._observer = observer
        self._quick = quick

    def push(self, ticket: Ticket) -> None:
        """Puts a request in line. Exhausted: the queue is full."""
        ticket.queued_at = time.perf_counter()
        self.queue.push(ticket)

    def at_once(self, request: ActRequest, model: LoadedVersion) -> bytes | None:
        """The answer to a plain request of one row, which overtakes the queue. None: it has to queue."""
        if not self._quick:
            return None
        if self._observer is None:
            return quick.answer(request, model)
        begin = time.perf_counter()
        answer = quick.answer(request, model)
        if answer is not None:
            self._observer.answered_at_once(model, request, answer, time.perf_counter() - begin)
        return answer

    def together(
        self, requests: Sequence[ActRequest], counts: Sequence[int], model: LoadedVersion
    ) -> list[bytes | None]:
        """Answers to plain requests with these rows, by as few calls as hold them. None: it has to queue."""
        if sum(counts) == 1:
            return [self.at_once(requests[0], model)]
        found: list[bytes | None] = []
        for part in _calls(counts):
            found += self._one_call(requests[part], counts[part], model) or [None] * len(counts[part])
        return found

    def _one_call(
        self, requests: Sequence[ActRequest], counts: Sequence[int], model: LoadedVersion
    ) -> list[bytes] | None:
        begin = time.perf_counter()
        answers = quick.answers(requests, counts, model)
        if answers is not None and self._observer is not None:
            seconds = time.perf_counter() - begin
            self._observer.answered_together(model, requests, sum(counts), answers, seconds)
        return answers

    def step(self) -> None:
        """One call for what waits now."""
        slices = self.queue.take()
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


def _calls(counts: Sequence[int]) -> Iterator[slice]:
    """Neighbours that fit into one call of ONNX Runtime together."""
    start = rows = 0
    for place, count in enumerate(counts):
        if rows + count > MAX_CALL_ROWS:
            yield slice(start, place)
            start, rows = place, 0
        rows += count
    yield slice(start, len(counts))


class LoopBatcher:
    """A batcher on an event loop: each call answers what the handlers that ran before it have pushed.

    Between two calls the loop receives requests, so that nobody waits longer than one call to queue.
    """

    def __init__(self, loop: AbstractEventLoop, batcher: Batcher) -> None:
        self._loop = loop
        self._batcher = batcher
        self._scheduled = False

    def at_once(self, request: ActRequest, model: LoadedVersion) -> bytes | None:
        """The answer to a plain request of one row. None: it has to queue."""
        return self._batcher.at_once(request, model)

    def submit(self, ticket: Ticket) -> None:
        """Puts a request in line; `ticket.done` is called when it has ended. Exhausted: the queue is full."""
        self._batcher.push(ticket)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._step)

    def _step(self) -> None:
        self._batcher.step()
        if self._batcher.queue:
            self._loop.call_soon(self._step)
        else:
            self._scheduled = False
