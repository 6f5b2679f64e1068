"""Unary methods that one ticket answers: the hot path, from the bytes of a request to those of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from server.acting.actor import Actor
from server.acting.batcher import Batcher
from server.acting.decode import parse, ticket_for
from server.acting.encode import answer_for, wants_raw
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

    def begin(self, payload: bytes, batcher: Batcher | None) -> bytes | Begun | None:
        """The answer where `batcher` has it at once; else what has to queue; None: not in memory."""

    async def answer(self, payload: bytes) -> bytes:
        """The answer on the event loop, loading what is needed."""


class DirectAct:
    """PolicyService.Act."""

    path = "/policy_api.v1.PolicyService/Act"

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def begin(self, payload: bytes, batcher: Batcher | None) -> bytes | Begun | None:
        """The answer where `batcher` has it at once; else what has to queue; None: not in memory."""
        request = parse(payload)
        model = self._actor.model_at_hand(request)
        if model is None:
            return None
        if batcher is not None and (answer := batcher.at_once(request, model)) is not None:
            return answer
        ticket = ticket_for(request, model, self._actor.max_rows)
        return Begun(ticket, partial(answer_for, raw=wants_raw(request)))

    async def answer(self, payload: bytes) -> bytes:
        """The answer on the event loop, loading what is needed."""
        return await self._actor.act(parse(payload))
