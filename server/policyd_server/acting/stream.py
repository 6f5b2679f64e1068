"""One StreamAct call, and the version that it may have pinned."""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop
from functools import partial

from policy_api.v1.policy_pb2 import ActRequest, StreamActRequest
from policyd.errors import FailedPrecondition, InvalidArgument
from policyd_server.acting.actor import Actor
from policyd_server.acting.batcher import Asked
from policyd_server.acting.decode import parse
from policyd_server.acting.direct import Conversation, PendingRequest
from policyd_server.acting.encode import stream_answer
from policyd_server.acting.plain import Plain
from policyd_server.acting.wire import read_varint
from policyd_server.models.version import LoadedVersion

# How many different headers a stream remembers for its pinned version.
MAX_KNOWN = 8
REQUEST = bytes([StreamActRequest.DESCRIPTOR.fields_by_name["request"].number << 3 | 2])


class DirectStreamAct:
    """PolicyService.StreamAct."""

    path = "/policy_api.v1.PolicyService/StreamAct"
    streams = True
    reader = None

    def __init__(self, actor: Actor, pin_seconds: float, loop: AbstractEventLoop) -> None:
        self._actor = actor
        self._pin_seconds = pin_seconds
        self._loop = loop

    def open(self) -> Conversation:
        """Returns a new stream."""
        return ActStream(self._actor, self._pin_seconds, self._loop)


class ActStream:
    """Answers one stream's messages, one after the other, from any thread.

    A pin keeps its version in memory until the pin ends or was not used for `pin_seconds`.
    """

    def __init__(self, actor: Actor, pin_seconds: float, loop: AbstractEventLoop) -> None:
        """`loop`: the event loop on which pins expire."""
        self._actor = actor
        self._pin_seconds = pin_seconds
        self._loop = loop
        self.pinned: LoadedVersion | None = None
        self.known: dict[bytes, Plain] = {}  # requests for the pinned version, by their first bytes
        self.expired = False  # whether the pin has expired
        self.used = 0.0  # time.monotonic() at the last message
        self._expiry: asyncio.TimerHandle | None = None

    def read(self, payload: bytes) -> Asked | None:
        """Returns the plain request for the pinned version, or for the one that it names."""
        request = _request_alone(payload)
        if request is None or self.expired:
            return None
        self.used = time.monotonic()
        pinned = self.pinned
        reader = self._actor.reader
        plain = reader.read(request) if pinned is None else reader.read_for(request, pinned)
        if plain is None:
            return None
        if pinned is not None and plain.start < plain.numbers and len(self.known) < MAX_KNOWN:
            self.known[request[: plain.start]] = plain
        return plain, request

    def wrap(self, answer: bytes) -> bytes:
        """Returns a StreamActResponse around an ActResponse."""
        return stream_answer(answer, pinned=self.pinned is not None)

    def begin(self, payload: bytes) -> PendingRequest | None:
        """Decodes and validates a message, and pins or unpins as it says."""
        message = parse(payload, StreamActRequest)
        model = self._pinned_by(message) or self._actor.model_at_hand(message.request)
        if model is None:
            return None
        request = self._take(message, model)
        self._actor.remember(_bytes_of(payload, message), request, model)
        ticket, encode = self._actor.prepare(request, model)
        failed = partial(self._actor.note_failure, ticket)
        return PendingRequest(ticket, lambda ticket, decision: self.wrap(encode(ticket, decision)), failed)

    async def answer(self, payload: bytes) -> bytes:
        """Returns the response. Runs on the event loop. FailedPrecondition: the pin has expired."""
        message = parse(payload, StreamActRequest)
        model = self._pinned_by(message) or await self._actor.model_for(message.request)
        request = self._take(message, model)
        self._actor.remember(_bytes_of(payload, message), request, model)
        return self.wrap(await self._actor.act_with(model, request))

    def refused(self, error: Exception) -> bytes | None:  # noqa: ARG002 -- the interface
        """Returns None: an error ends the stream."""
        return None

    def close(self) -> None:
        """Releases the pinned version. Called on the front's thread, or on the event loop."""
        self.pinned, self.known = None, {}
        if self._expiry is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._expiry.cancel)

    def _pinned_by(self, message: StreamActRequest) -> LoadedVersion | None:
        """Returns the version that has to answer. None: the one that the request names.

        Raises FailedPrecondition if the pin has expired, and InvalidArgument if the request names
        another version than the pinned one.
        """
        if message.unpin_version:
            return None
        if self.expired:
            text = (
                f"nothing used the pinned version for {self._pin_seconds:g} s: unpin, or open another stream"
            )
            raise FailedPrecondition(text, reason="PIN_EXPIRED")
        if (pinned := self.pinned) is not None:
            _check_names(message.request, pinned)
        return pinned

    def _take(self, message: StreamActRequest, model: LoadedVersion) -> ActRequest:
        """Pins or unpins as the message says, and returns its request."""
        if message.unpin_version:
            self.pinned, self.expired, self.known = None, False, {}
        if message.pin_version:
            self.pinned, self.known = model, {}
        self.used = time.monotonic()
        if self.pinned is not None and self._expiry is None:
            self._loop.call_soon_threadsafe(self._watch)
        return message.request

    def _watch(self) -> None:
        """Ends a pin that was not used for `pin_seconds`, or sets the timer again.

        Runs on the event loop whenever the pin may have expired.
        """
        self._expiry = None
        if self.pinned is None:
            return
        left = self.used + self._pin_seconds - time.monotonic()
        if left > 0:
            self._expiry = self._loop.call_later(left, self._watch)
        else:
            self.expired, self.pinned, self.known = True, None, {}


def _request_alone(payload: bytes) -> bytes | None:
    """Returns the bytes of the ActRequest if the StreamActRequest has nothing else in it.

    None: only protobuf can tell.
    """
    if not payload.startswith(REQUEST):
        return None
    size, start = read_varint(payload, len(REQUEST))
    return payload[start:] if size >= 0 and start + size == len(payload) else None


def _bytes_of(payload: bytes, message: StreamActRequest) -> bytes:
    return _request_alone(payload) or message.request.SerializeToString()


def _check_names(request: ActRequest, pinned: LoadedVersion) -> None:
    """Refuses a request that names another version than the pinned one."""
    if request.policy not in ("", pinned.policy):
        raise InvalidArgument.of("policy", got=request.policy, wanted=f"{pinned.policy}, which is pinned")
    if request.HasField("version") and request.version != pinned.version:
        raise InvalidArgument.of("version", got=request.version, wanted=f"{pinned.version}, which is pinned")
