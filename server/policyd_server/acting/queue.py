"""The queue, and which of its requests the next inference call answers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from policyd.counted import counted
from policyd.errors import Exhausted
from policyd_server.acting.ticket import Ticket
from policyd_server.models.version import LoadedVersion

# Requests with at most this many rows are answered before larger ones.
SMALL_ROWS = 64
# RetryInfo of a full queue, in seconds. The queue is empty again in less time.
RETRY_AFTER = 0.1


class Slice(NamedTuple):
    """Rows `start` to `stop` of a ticket."""

    ticket: Ticket
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.stop - self.start


@dataclass(slots=True)
class _Line:
    """The requests that wait for one version.

    Small ones are answered in the order of their arrival, large ones take turns.
    """

    small: deque[Ticket] = field(default_factory=deque)
    large: deque[Ticket] = field(default_factory=deque)


class FairQueue:
    """A bounded queue in which the versions take turns.

    For one version, small requests are answered first, but each call also takes rows of the large
    ones. It is used by one thread.
    """

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._lines: dict[LoadedVersion, _Line] = {}
        self.rows = 0  # rows that wait

    def __bool__(self) -> bool:
        return bool(self._lines)

    def push(self, ticket: Ticket) -> None:
        """Queues a request.

        Raises Exhausted if too many rows wait already. An empty queue takes any request.
        """
        self._check(ticket.rows)
        line = self._lines.get(ticket.model)
        if line is None:
            line = self._lines[ticket.model] = _Line()
        (line.small if ticket.rows <= SMALL_ROWS else line.large).append(ticket)
        self.rows += ticket.rows

    def hold(self, rows: int) -> None:
        """Counts rows that wait elsewhere. Raises Exhausted as `push`."""
        self._check(rows)
        self.rows += rows

    def release(self, rows: int) -> None:
        """Ends `hold` for rows that do not wait any more."""
        self.rows -= rows

    def take(self) -> list[Slice]:
        """Takes the rows for the next call: of one version, about its `call_rows`. May be empty."""
        model = next(iter(self._lines))
        line = self._lines.pop(model)
        # Large requests get half of the call, so that small ones cannot keep them waiting for ever.
        budget = model.call_rows // 2 if line.large else model.call_rows
        slices = self._take_small(line.small, max(budget, SMALL_ROWS))
        budget = max(model.call_rows - sum(piece.rows for piece in slices), model.call_rows // 2)
        slices += self._take_large(line.large, budget)
        if line.small or line.large:
            self._lines[model] = line  # at the end, so that the other versions come first
        return slices

    def _check(self, rows: int) -> None:
        if self.rows and self.rows + rows > self._max_rows:
            message = (
                f"{counted(self.rows, 'rows')} in the queue already, at most {self._max_rows:,} may wait"
            )
            raise Exhausted(message, retry_after=RETRY_AFTER, reason="QUEUE_FULL")

    def _take_small(self, small: deque[Ticket], budget: int) -> list[Slice]:
        slices = []
        while small and small[0].rows <= budget:
            ticket = small.popleft()
            self.rows -= ticket.rows
            if not ticket.abandoned():
                ticket.taken = ticket.rows
                budget -= ticket.rows
                slices.append(Slice(ticket, 0, ticket.rows))
        return slices

    def _take_large(self, large: deque[Ticket], budget: int) -> list[Slice]:
        slices = []
        while large and budget > 0:
            ticket = large.popleft()
            if ticket.error is not None or ticket.abandoned():
                self.rows -= ticket.rows - ticket.taken
                continue
            start = ticket.taken
            ticket.taken = min(ticket.rows, start + budget)
            taken = ticket.taken - start
            budget -= taken
            self.rows -= taken
            slices.append(Slice(ticket, start, ticket.taken))
            if ticket.taken < ticket.rows:
                large.append(ticket)
        return slices
