"""Unary methods that one ticket answers: the hot path, from the bytes of a request to those of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from policy_api.v1.policy_pb2 import ActRequest
from server.acting.actor import Actor
from server.acting.decode import parse, ticket_for
from server.acting.encode import answer_for, wants_raw
from server.acting.quick import plain_rows
from server.acting.ticket import Decision, Ticket
from server.models.version import LoadedVersion


class Plain(NamedTuple):
    """A request of a few raw observations: answered at once, together with others of its kind."""

    model: LoadedVersion
    request: ActRequest
    rows: int


@dataclass(frozen=True, slots=True)
class Begun:
    """A checked request that has to queue, and how its answer is written once the ticket has ended well."""

    ticket: Ticket
    encode: Callable[[Ticket, Decision], bytes]
    failed: Callable[[], None] = lambda: None  # called where it ended with an error instead


class DirectMethod(Protocol):
    """What a transport needs to serve such a method without an event loop."""

    path: str

    def begin(self, payload: bytes) -> Plain | Begun | None:
        """Decodes and checks. None: its version is not in memory, so `answer` has to load it."""

    def queued(self, plain: Plain) -> Begun:
        """What `begin` gives for a plain request that has to queue nevertheless."""

    async def answer(self, payload: bytes) -> bytes:
        """The answer on the event loop, loading what is needed."""


class DirectAct:
    """PolicyService.Act."""

    path = "/policy_api.v1.PolicyService/Act"

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def begin(self, payload: bytes) -> Plain | Begun | None:
        """Decodes and checks. None: its version is not in memory."""
        request = parse(payload)
        model = self._actor.model_at_hand(request)
        if model is None:
            return None
        plain = Plain(model, request, plain_rows(request, model))
        return plain if plain.rows else self.queued(plain)

    def queued(self, plain: Plain) -> Begun:
        """A ticket for the request."""
        ticket = ticket_for(plain.request, plain.model, self._actor.max_rows)
        return Begun(ticket, partial(answer_for, raw=wants_raw(plain.request)))

    async def answer(self, payload: bytes) -> bytes:
        """The answer on the event loop, loading what is needed."""
        return await self._actor.act(parse(payload))
