"""Unary methods that one ticket answers: the hot path, from the bytes of a request to those of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from server.acting.actor import Actor
from server.acting.decode import parse, plain_ticket, ticket_for
from server.acting.encode import answer_for, wants_raw
from server.acting.plain import Layout, Meant, Plain
from server.acting.ticket import Decision, Ticket


@dataclass(frozen=True, slots=True)
class Begun:
    """A checked request that has to queue, and how its answer is written once the ticket has ended well."""

    ticket: Ticket
    encode: Callable[[Ticket, Decision], bytes]
    failed: Callable[[], None] = lambda: None  # called where it ended with an error instead


class DirectMethod(Protocol):
    """What a transport needs to serve such a method without an event loop."""

    path: str

    def layout(self, payload: bytes) -> Layout | None:
        """What requests share that may be answered as `Alike`. None: this one has to begin on its own."""

    def meant_by(self, layout: Layout) -> Meant | None:
        """What requests of a layout ask. None: each has to begin on its own."""

    def begin(self, payload: bytes) -> Plain | Begun | None:
        """Decodes and checks. None: its version is slow or not in memory; `answer` is to be asked."""

    def queued(self, plain: Plain) -> Begun:
        """What `begin` gives for a plain request that has to queue nevertheless."""

    async def answer(self, payload: bytes) -> bytes:
        """The answer on the event loop, loading what is needed."""


class DirectAct:
    """PolicyService.Act."""

    path = "/policy_api.v1.PolicyService/Act"

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def layout(self, payload: bytes) -> Layout | None:
        """What requests share that begin alike and are as long."""
        return self._actor.reader.layout(payload)

    def meant_by(self, layout: Layout) -> Meant | None:
        """What requests of a layout ask. None: their version is not in memory, or not quick."""
        return self._actor.reader.meant_by(layout)

    def begin(self, payload: bytes) -> Plain | Begun | None:
        """Decodes and checks. None: its version is slow or not in memory."""
        plain = self._actor.reader.read(payload)
        if plain is not None:
            return plain
        request = parse(payload)
        model = self._actor.model_at_hand(request)
        if model is None or model.slow:
            return None
        plain = self._actor.reader.plain_of(request, model)
        if plain is not None:
            self._actor.reader.remember(payload, request)
            return plain
        ticket = ticket_for(request, model, self._actor.max_rows)
        return Begun(ticket, partial(answer_for, raw=wants_raw(request)))

    def queued(self, plain: Plain) -> Begun:
        """A ticket for the request."""
        return Begun(plain_ticket(plain, self._actor.max_rows), partial(answer_for, raw=True))

    async def answer(self, payload: bytes) -> bytes:
        """The answer on the event loop, loading what is needed."""
        return await self._actor.act(payload)
