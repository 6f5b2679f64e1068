"""Inference calls of slow policies, in a thread of their own.

All other requests are answered meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque

from policyd_server.acting.batcher import Batcher, PlainCall
from policyd_server.acting.ticket import Ticket


class SlowCalls:
    """Two queues and a thread that answers their requests, one inference call at a time.

    The queues of plain requests and of tickets take turns.
    """

    def __init__(self, batcher: Batcher) -> None:
        """`batcher`: must not be used elsewhere."""
        self._batcher = batcher
        self._plain: deque[PlainCall] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="slow calls", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread after its present call."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def push(self, ticket: Ticket) -> None:
        """Queues a request. The thread calls the ticket's `done`.

        Raises Exhausted if the queue is full.
        """
        with self._changed:
            self._batcher.push(ticket)
            self._changed.notify()

    def push_plain(self, call: PlainCall) -> None:
        """Queues a plain request. Exhausted: the queue is full."""
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
                self._batcher.answer_plain(calls, aside=True)
            else:
                self._batcher.answer(slices)
            plain_next = not plain_next

    def _take_plain(self) -> list[PlainCall]:
        """Takes as many plain requests as one inference call answers.

        They are for the version of the request that has waited longest.
        """
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
