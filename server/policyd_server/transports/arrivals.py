"""Where the front's events come from, and which of them are answered on the way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from policyd_server.acting.batcher import Batcher
from policyd_server.acting.direct import DirectMethod
from policyd_server.acting.queue import SMALL_ROWS
from policyd_server.front import Event
from policyd_server.front.binding import Front
from policyd_server.front.in_place import InPlace
from policyd_server.transports.admission import Admission
from policyd_server.transports.replies import Replies


class Arrivals(Protocol):
    """Waits for what the loop has to do."""

    def wait(self, milliseconds: int) -> list[Event]:
        """Serves until there is something to do, or the time is over."""


def arrivals(
    front: Front, methods: Sequence[DirectMethod], batcher: Batcher, replies: Replies, admission: Admission
) -> Arrivals:
    """The front's events, without the small plain requests of the method that has any."""
    for place, method in enumerate(methods):
        if method.reader is not None:
            return InPlace(
                front,
                place,
                method.reader,
                batcher,
                most_rows=SMALL_ROWS,
                caller_of=partial(admission.caller_name, method=place),
                ended=None if replies.traced is None else partial(replies.ended, method=place),
            )
    return front
