"""Hot methods as a front serves them.

From a request's bytes to the answer's, without an event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from policy_api.v1.policy_pb2 import ActRequest
from policyd_server.acting.actor import Actor, check_key
from policyd_server.acting.batcher import Asked
from policyd_server.acting.decode import parse
from policyd_server.acting.plain import PlainReader
from policyd_server.acting.ticket import Decision, Ticket


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A checked request that has to queue.

    It knows how its answer is written once the ticket has ended well.
    """

    ticket: Ticket
    encode: Callable[[Ticket, Decision], bytes]
    failed: Callable[[], None] = lambda: None  # called where it ended with an error instead


@dataclass(frozen=True, slots=True)
class Told:
    """An answer with trailing metadata."""

    payload: bytes
    trailers: tuple[tuple[str, str], ...]  # printable ASCII; at most four


class Ending(Protocol):
    """What an error needs to know of a call: how it is told, and what ends with it."""

    def refused(self, error: Exception) -> bytes | None:
        """Returns the error as a message, if the stream goes on after it. None: the call ends."""

    def close(self) -> None:
        """The stream has ended."""


class Conversation(Ending, Protocol):
    """Answers messages: of one stream in their order, or of any number of unary calls."""

    def read(self, payload: bytes) -> Asked | None:
        """Returns the plain request that the bytes are recognised as.

        None: `begin` has to decode them.
        """

    def wrap(self, answer: bytes) -> bytes:
        """The answer to a plain request, an ActResponse, as this method writes it."""

    def begin(self, payload: bytes) -> PendingRequest | Told | bytes | None:
        """Returns the request to queue, or its answer.

        None: `answer` has to be awaited on the event loop.
        """

    async def answer(self, payload: bytes) -> bytes:
        """The answer on the event loop, loading what is needed."""


class DirectMethod(Protocol):
    """A method that a front serves itself."""

    path: str
    streams: bool

    @property
    def reader(self) -> PlainReader | None:
        """What recognises its plain requests as they come. None: nothing does."""

    def open(self) -> Conversation:
        """For one stream; for all calls of a unary method."""


class Refused:
    """Of a call that is refused before its message is read, and of a unary call: it ends."""

    def refused(self, error: Exception) -> bytes | None:  # noqa: ARG002 -- the interface
        """None: the call ends."""
        return None

    def close(self) -> None:
        """Nothing to do."""


class Unary(Refused):
    """The common part of unary methods without plain requests."""

    streams = False
    reader: PlainReader | None = None

    def read(self, payload: bytes) -> Asked | None:  # noqa: ARG002 -- the interface
        """None: every request is decoded on its own."""
        return None

    def wrap(self, answer: bytes) -> bytes:
        """As it is."""
        return answer


class DirectAct(Unary):
    """PolicyService.Act."""

    path = "/policy_api.v1.PolicyService/Act"

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self.reader = actor.reader

    def open(self) -> Conversation:
        """Itself."""
        return self

    def read(self, payload: bytes) -> Asked | None:
        """What a plain request asks."""
        plain = self._actor.reader.read(payload)
        return None if plain is None else (plain, payload)

    def begin(self, payload: bytes) -> PendingRequest | None:
        """Decodes and validates.

        Remembers the request's header for the next request like it.
        """
        request = parse(payload, ActRequest)
        check_key(request.traffic_key)
        model = self._actor.model_at_hand(request)
        if model is None:
            return None
        self._actor.reader.remember(payload, request)
        ticket, encode = self._actor.prepare(request, model)
        return PendingRequest(ticket, encode, partial(self._actor.note_failure, ticket))

    async def answer(self, payload: bytes) -> bytes:
        """The answer on the event loop, loading what is needed."""
        return await self._actor.act(payload)
