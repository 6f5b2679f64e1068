"""Inference calls of slow policies, in a thread of their own.

Everybody else is answered meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from policyd_server.acting.batcher import Asked, Batcher
from policyd_server.acting.ticket import Ticket
from policyd_server.models.version import LoadedVersion


class PlainCall(NamedTuple):
    """A plain request for a slow version."""

    asked: Asked
    caller: bytes  # the name of who sent it
    wanted: Callable[[], bool]  # whether anybody still waits for the answer
    done: Callable[[bytes | None], None]  # takes the ActResponse; None: the request has to queue

    @property
    def rows(self) -> int:
        """How many."""
        return self.asked[0].rows


class SlowCalls:
    """Two queues and the thread that empties them, one inference call at a time.

    Plain requests and tickets take turns.
    """

    def __init__(self, batcher: Batcher) -> None:
        """`batcher`: used by nobody else."""
        self._batcher = batcher
        self._plain: deque[PlainCall] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="slow calls", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread after its call."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def push(self, ticket: Ticket) -> None:
        """Puts a request in line; its `done` is called in the thread.

        Exhausted: the queue is full.
        """
        with self._changed:
            self._batcher.push(ticket)
            self._changed.notify()

    def push_plain(self, call: PlainCall) -> None:
        """Puts a plain request in line. Exhausted: the queue is full."""
        with self._changed:
            self._batcher.queue.hold(call.rows)
            self._plain.append(call)
            self._changed.notify()

    def _run(self) -> None:
        queue, plain_next = self._batcher.queue, True
        while True:
            with self._changed:
                while not (queue or self._plain or self._closed):
                    self._changed.wait()
                if self._closed:
                    return
                plain_next = bool(self._plain) and (plain_next or not queue)
                calls = self._take_plain() if plain_next else []
                slices = [] if plain_next else queue.take()
            if plain_next:
                self._answer(calls)
            else:
                self._batcher.answer(slices)
            plain_next = not plain_next

    def _take_plain(self) -> list[PlainCall]:
        """The requests for the version that waits longest, as many as one inference call takes."""
        model = self._plain[0].asked[0].model
        taken: list[PlainCall] = []
        left: deque[PlainCall] = deque()
        room = model.call_rows
        for call in self._plain:
            if call.asked[0].model is not model or call.rows > room:
                left.append(call)
                continue
            self._batcher.queue.release(call.rows)
            if call.wanted():
                room -= call.rows
                taken.append(call)
        self._plain = left
        return taken

    def _answer(self, calls: list[PlainCall]) -> None:
        if not calls:
            return
        model: LoadedVersion = calls[0].asked[0].model
        asked = [call.asked for call in calls]
        try:
            answers = self._batcher.together(
                model, asked, aside=True, caller_of=lambda place: calls[place].caller
            )
        except Exception:  # noqa: BLE001 -- one fails all: each queues, and fails or succeeds on its own
            answers = [None] * len(calls)
        for call, answer in zip(calls, answers, strict=True):
            call.done(answer)
