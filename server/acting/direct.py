"""Unary methods that one ticket answers: the hot path, from the bytes of a request to those of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from policy_api.v1.policy_pb2 import ActRequest
from server.acting.actor import Actor
from server.acting.decode import parse, ticket_for
from server.acting.encode import answer_for, wants_raw
from server.acting.plain import Plain
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

    def read(self, payload: bytes) -> Plain | None:
        """What a request asks that is recognised as plain. None: it has to begin."""

    def begin(self, payload: bytes) -> Begun | None:
        """Decodes and checks. None: its version is slow or not in memory; `answer` is to be asked."""

    async def answer(self, payload: bytes) -> bytes:
        """The answer on the event loop, loading what is needed."""


class DirectAct:
    """PolicyService.Act."""

    path = "/policy_api.v1.PolicyService/Act"

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self.read = actor.reader.read

    def begin(self, payload: bytes) -> Begun | None:
        """Decodes and checks; its likes are recognised from now on if they can be."""
        request = parse(payload, ActRequest)
        model = self._actor.model_at_hand(request)
        if model is None or model.slow:
            return None
        self._actor.reader.remember(payload, request)
        ticket = ticket_for(request, model, self._actor.max_rows)
        return Begun(ticket, partial(answer_for, raw=wants_raw(request)))

    async def answer(self, payload: bytes) -> bytes:
        """The answer on the event loop, loading what is needed."""
        return await self._actor.act(payload)
