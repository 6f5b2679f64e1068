"""A ticket that has ended is held by nobody."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest

from policyd_server.acting.ticket import Decision, Ticket
from tests.policyd_server.conftest import Load


class Waiting:
    """A call that holds its ticket, like those of the transports."""

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self.ended = 0
        ticket.done = self.end

    def end(self, ticket: Ticket) -> None:
        """Is called at the end."""
        assert ticket is self.ticket
        self.ended += 1


@pytest.mark.parametrize(
    "end",
    [
        lambda ticket: ticket.answer(Decision({}), 1),
        lambda ticket: ticket.fail(RuntimeError("the graph failed")),
    ],
    ids=["answered", "failed"],
)
def test_the_end_frees_a_ticket_without_a_garbage_collection(
    end: Callable[[Ticket], None], load: Load
) -> None:
    """A ticket, whose observations may be large, is freed at its end. `done` is called once."""
    call = Waiting(Ticket(load("p", 1), bytes(16), 1))
    gone = weakref.ref(call)
    gc.collect()
    gc.disable()
    try:
        end(call.ticket)
        assert call.ended == 1
        del call
        assert gone() is None
    finally:
        gc.enable()
