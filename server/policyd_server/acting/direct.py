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
    """A checked request that has to queue, and the function that encodes its response."""

    ticket: Ticket
    encode: Callable[[Ticket, Decision], bytes]
    failed: Callable[[], None] = lambda: None  # called if it ended with an error


@dataclass(frozen=True, slots=True)
class Told:
    """A response with trailing metadata."""

    payload: bytes
    trailers: tuple[tuple[str, str], ...]  # printable ASCII; at most four


class Ending(Protocol):
    """What is needed to end a call with an error."""

    def refused(self, error: Exception) -> bytes | None:
        """Returns the error as a message, if the stream goes on after it. None: the call ends."""

    def close(self) -> None:
        """Called when the stream has ended."""


class Conversation(Ending, Protocol):
    """Answers messages: of one stream in their order, or of any number of unary calls."""

    def read(self, payload: bytes) -> Asked | None:
        """Returns the plain request that the bytes are recognised as.

        None: `begin` has to decode them.
        """

    def wrap(self, answer: bytes) -> bytes:
        """Wraps the ActResponse to a plain request as the method's response."""

    def begin(self, payload: bytes) -> PendingRequest | Told | bytes | None:
        """Returns the request to queue, or the response.

        None: `answer` has to be awaited on the event loop.
        """

    async def answer(self, payload: bytes) -> bytes:
        """Returns the response. Runs on the event loop, and loads the version if necessary."""


class DirectMethod(Protocol):
    """A method that a front serves itself."""

    path: str
    streams: bool

    @property
    def reader(self) -> PlainReader | None:
        """Recognises the method's plain requests. None: it has none."""

    def open(self) -> Conversation:
        """Returns the conversation of one stream, or of all calls of a unary method."""


class Refused:
    """For a unary call, or one refused before its message is read: an error ends the call."""

    def refused(self, error: Exception) -> bytes | None:  # noqa: ARG002 -- the interface
        """Returns None: the call ends."""
        return None

    def close(self) -> None:
        """Does nothing."""


class Unary(Refused):
    """The common part of unary methods without plain requests."""

    streams = False
    reader: PlainReader | None = None

    def read(self, payload: bytes) -> Asked | None:  # noqa: ARG002 -- the interface
        """Returns None: every request is decoded on its own."""
        return None

    def wrap(self, answer: bytes) -> bytes:
        """Returns the response as it is."""
        return answer


class DirectAct(Unary):
    """PolicyService.Act."""

    path = "/policy_api.v1.PolicyService/Act"

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self.reader = actor.reader

    def open(self) -> Conversation:
        """Returns itself."""
        return self

    def read(self, payload: bytes) -> Asked | None:
        """Returns the plain request that the bytes are recognised as."""
        plain = self._actor.reader.read(payload)
        return None if plain is None else (plain, payload)

    def begin(self, payload: bytes) -> PendingRequest | None:
        """Decodes and validates the request, and remembers its header.

        The next request like it is then recognised without protobuf.
        """
        request = parse(payload, ActRequest)
        check_key(request.traffic_key)
        model = self._actor.model_at_hand(request)
        if model is None:
            return None
        self._actor.remember(payload, request, model)
        ticket, encode = self._actor.prepare(request, model)
        return PendingRequest(ticket, encode, partial(self._actor.note_failure, ticket))

    async def answer(self, payload: bytes) -> bytes:
        """Returns the response. Runs on the event loop, and loads the version if necessary."""
        return await self._actor.act(payload)
