"""Batches the requests that are already waiting. Never waits for a batch to fill."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

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


class PlainCall(NamedTuple):
    """A plain request that waits."""

    asked: Asked
    caller: bytes  # the name of the caller
    wanted: Callable[[], bool]  # whether somebody still waits for the response
    done: Callable[[bytes | None], None]  # gets the ActResponse; None: the request has to queue as a ticket

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.asked[0].rows

    def answer(self, batcher: Batcher, *, alone: bool) -> bool:
        """Answers it. False: nobody waits for it any more."""
        if not self.wanted():
            return False
        batcher.answer_plain([self], alone=alone)
        return True


class Large(Protocol):
    """A large plain request that waits: a PlainCall, or one in the front's buffers."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    def answer(self, batcher: Batcher, *, alone: bool) -> bool:
        """Answers it. False: nobody waits for it any more. `alone`: no other request waits."""


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
    """The requests that wait, and the inference calls for them. All is done in one thread."""

    def __init__(
        self,
        max_rows: int,
        observer: CallObserver | None = None,
        record: Record | None = None,
        shadows: Shadowing | None = None,
    ) -> None:
        """`record`: gets the records of plain requests with names; None: such requests queue."""
        self.queue = FairQueue(max_rows)
        self._large: deque[Large] = deque()
        self.observer = observer
        self.record = record
        self._shadows = shadows

    def __bool__(self) -> bool:
        """Whether requests wait."""
        return bool(self._large or self.queue)

    def is_shadowed(self, model: LoadedVersion) -> bool:
        """Whether the version's results are compared with those of another one."""
        return self._shadows is not None and model in self._shadows.targets

    def push(self, ticket: Ticket) -> None:
        """Queues a request. Exhausted: the queue is full."""
        ticket.queued_at = time.perf_counter()
        self.queue.push(ticket)

    def push_plain(self, large: Large) -> None:
        """Queues a large plain request. Exhausted: the queue is full."""
        self.queue.hold(large.rows)
        self._large.append(large)

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

    def step(self, *, alone: bool = False) -> None:
        """Answers one large plain request, and makes one inference call for the queue.

        `alone`: no other request has arrived.
        """
        self.answer_large(alone=alone)
        if self.queue:
            self.answer(self.queue.take())

    def answer_large(self, *, alone: bool) -> None:
        """Answers the large plain request that has waited longest, if there is one."""
        while self._large:
            large = self._large.popleft()
            self.queue.release(large.rows)
            if large.answer(self, alone=alone and not self):
                return

    def answer_plain(self, calls: Sequence[PlainCall], *, alone: bool = False, aside: bool = False) -> None:
        """Answers plain requests for one version. It calls their `done` in the calling thread."""
        if not calls:
            return
        asked = [each.asked for each in calls]
        model = asked[0][0].model
        answers: list[bytes | None]
        try:
            answers = self.together(
                model, asked, alone=alone, aside=aside, caller_of=lambda place: calls[place].caller
            )
        except Exception:  # noqa: BLE001 -- one request can fail all, so each queues and is answered alone
            answers = [None] * len(calls)
        for each, answer in zip(calls, answers, strict=True):
            each.done(answer)

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
