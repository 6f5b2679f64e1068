"""Batches the requests that are already waiting. Never waits for a batch to fill."""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from policyd_server.acting import call
from policyd_server.acting.plain import Plain
from policyd_server.acting.queue import FairQueue, Slice
from policyd_server.acting.ticket import Ticket
from policyd_server.models.version import LoadedVersion

Sample = tuple[bytes, bytes]  # of one request: its observations as float32, and its ActResponse


Asked = tuple[Plain, bytes]  # a plain request: what was recognised, and its bytes
# A function that gets the records of decisions, their number and their policy.
Record = Callable[[bytes, int, str], None]
CallerOf = Callable[[int], bytes]  # from a request's index to the name of its caller


class CallObserver(Protocol):
    """Hears of every inference call. The metrics implement it."""

    def called(self, slices: Sequence[Slice], queued: Sequence[float], seconds: float) -> None:
        """Called after a call, with its rows, each slice's wait and the call's time, in seconds."""

    def answered_at_once(
        self, model: LoadedVersion, requests: int, rows: int, sample: Sample, seconds: float
    ) -> None:
        """Called after a call for requests that did not queue; `seconds`: how long it took."""


class Shadowing(Protocol):
    """Hears of every answered request. The shadows implement it."""

    @property
    def targets(self) -> Mapping[LoadedVersion, object]:
        """The versions that have shadows."""

    def answered_plain(
        self, model: LoadedVersion, asked: Sequence[Asked], answers: Sequence[bytes | None]
    ) -> None:
        """Called after plain requests for one version were answered."""

    def answered(self, slices: Sequence[Slice]) -> None:
        """Called after an inference call for requests that queued."""


class Batcher:
    """A queue, and the inference calls for its requests. All is done in one thread."""

    def __init__(
        self,
        max_rows: int,
        observer: CallObserver | None = None,
        record: Record | None = None,
        shadows: Shadowing | None = None,
    ) -> None:
        """`record`: gets the records of plain requests with names; None: such requests queue."""
        self.queue = FairQueue(max_rows)
        self.observer = observer
        self.record = record
        self._shadows = shadows

    def is_shadowed(self, model: LoadedVersion) -> bool:
        """Whether the version's results are compared with those of another one."""
        return self._shadows is not None and model in self._shadows.targets

    def push(self, ticket: Ticket) -> None:
        """Queues a request. Exhausted: the queue is full."""
        ticket.queued_at = time.perf_counter()
        self.queue.push(ticket)

    def together(
        self,
        model: LoadedVersion,
        asked: list[Asked],
        *,
        alone: bool = False,
        aside: bool = False,
        caller_of: CallerOf | None = None,
    ) -> list[bytes | None]:
        """Answers plain requests for one version in as few inference calls as possible.

        Returns a serialised ActResponse for each; None: the request has to queue. It is always
        called in the same thread. `alone`: no other request waits. `aside`: the thread is the one
        for slow calls. `caller_of`: returns the caller's name for an index into `asked`.
        """
        bound = model.aside if aside else model.bound
        if bound is None:
            return [None] * len(asked)
        answered = bound.answers_alone if alone else bound.answers
        begin = time.perf_counter()
        answers = answered(asked, self.record, caller_of)
        if self.observer is not None:
            _tell(self.observer, asked, answers, time.perf_counter() - begin)
        if self._shadows is not None and self.is_shadowed(model):
            self._shadows.answered_plain(model, asked, answers)
        return answers

    def step(self) -> None:
        """Makes one inference call for the requests that wait now."""
        self.answer(self.queue.take())

    def answer(self, slices: Sequence[Slice]) -> None:
        """Makes one inference call for rows of one version.

        It calls the tickets' `done` in the calling thread.
        """
        if not slices:
            return
        begin = time.perf_counter()
        for piece in slices:
            piece.ticket.called_at = begin
        call.answer(slices)
        if self.observer is not None:
            waited = [begin - piece.ticket.queued_at for piece in slices]
            self.observer.called(slices, waited, time.perf_counter() - begin)
        if self._shadows is not None and self.is_shadowed(slices[0].ticket.model):
            self._shadows.answered(slices)


def _tell(observer: CallObserver, asked: list[Asked], answers: list[bytes | None], seconds: float) -> None:
    """Tells the observer about the plain requests that were answered."""
    answered = [(plain, payload) for (plain, payload), answer in zip(asked, answers, strict=True) if answer]
    if not answered:
        return
    plain, payload = answered[0]
    sample = (plain.floats(payload), next(filter(None, answers)))
    observer.answered_at_once(
        plain.model, len(answered), sum([plain.rows for plain, _ in answered]), sample, seconds
    )


class LoopBatcher:
    """A batcher on an event loop.

    Each inference call answers what handlers have queued before it. Between two calls the loop
    receives requests, so nobody waits longer than one call to get into the queue. Calls of a slow
    version run in another thread, one at a time, and the loop goes on receiving.
    """

    def __init__(self, loop: AbstractEventLoop, batcher: Batcher) -> None:
        self._loop = loop
        self._batcher = batcher
        self._scheduled = False
        self._aside: asyncio.Task[None] | None = None

    def submit(self, ticket: Ticket) -> None:
        """Queues a request. `ticket.done` is called when it has ended.

        Raises Exhausted if the queue is full.
        """
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
        if self._batcher.queue:
            self._loop.call_soon(self._step)
        else:
            self._scheduled = False
