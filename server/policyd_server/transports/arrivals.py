"""Waits for the front's events, and answers small plain requests at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from policyd_server.acting.batcher import Batcher
from policyd_server.acting.direct import Conversation, DirectAct, DirectMethod
from policyd_server.acting.queue import SMALL_ROWS
from policyd_server.acting.stream import DirectStreamAct
from policyd_server.front import Event
from policyd_server.front.binding import Front
from policyd_server.front.in_place import InPlace
from policyd_server.front.recogniser import Recogniser
from policyd_server.transports.admission import Admission
from policyd_server.transports.replies import Call, Replies


class Arrivals(Protocol):
    """Waits for events that the loop has to handle."""

    def wait(self, milliseconds: int) -> list[Event]:
        """Serves until there are events, or the time is over."""


def arrivals(
    front: Front,
    methods: Sequence[DirectMethod],
    streams: dict[int, Call[Conversation]],
    batcher: Batcher,
    replies: Replies,
    admission: Admission,
) -> Arrivals:
    """Returns the front's events. Small plain requests of Act and StreamAct are answered.

    `streams`: the open ones, by number.
    """
    places = {method.path: place for place, method in enumerate(methods)}
    method = places.get(DirectAct.path)
    reader = None if method is None else methods[method].reader
    if method is None or reader is None:
        return front
    return InPlace(
        front,
        Recogniser(method, places.get(DirectStreamAct.path, -1), streams, reader),
        batcher,
        most_rows=SMALL_ROWS,
        caller_of=admission.caller_name if admission.knows_callers else None,
        ended=None if replies.traced is None else partial(replies.ended, method=method),
    )
