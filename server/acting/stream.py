"""One loop's stream of requests, and the version that it may have pinned."""

from __future__ import annotations

import asyncio

from policy_api.errors import FailedPrecondition, InvalidArgument
from policy_api.v1.policy_pb2 import ActRequest, StreamActRequest
from server.acting.actor import Actor
from server.acting.decode import parse
from server.acting.encode import stream_answer
from server.acting.wire import read_varint
from server.models.version import LoadedVersion

_REQUEST = bytes([StreamActRequest.DESCRIPTOR.fields_by_name["request"].number << 3 | 2])


class ActStream:
    """Answers one stream's messages.

    A pin holds its version in memory until it ends or nobody used it for `pin_seconds`.
    """

    def __init__(self, actor: Actor, pin_seconds: float) -> None:
        self._actor = actor
        self._pin_seconds = pin_seconds
        self._pinned: LoadedVersion | None = None
        self._expired = False
        self._expiry: asyncio.TimerHandle | None = None

    async def act(self, payload: bytes) -> bytes:
        """The serialised StreamActResponse to a StreamActRequest. FailedPrecondition: its pin has expired."""
        request = _request_alone(payload)
        if request is not None and self._pinned is None and not self._expired:
            answer = self._actor.at_once(request) or await self._actor.act(request)
            return stream_answer(answer, pinned=False)
        message = parse(payload, StreamActRequest)
        return await self._act_as_said(message, request or message.request.SerializeToString())

    async def _act_as_said(self, message: StreamActRequest, payload: bytes) -> bytes:
        """`payload`: of the request in the message."""
        if message.unpin_version:
            self.unpin()
        if self._expired:
            text = (
                f"nothing used the pinned version for {self._pin_seconds:g} s: unpin, or open another stream"
            )
            raise FailedPrecondition(text, reason="PIN_EXPIRED")
        model = self._pinned
        if model is None:
            model = await self._actor.model_for(message.request)
        else:
            _check_names(message.request, model)
        if message.pin_version:
            self._pinned = model
        self._restart_expiry()
        answer = self._actor.at_once(payload, model)
        answer = answer or await self._actor.act_with(model, message.request, payload)
        return stream_answer(answer, pinned=self._pinned is not None)

    def unpin(self) -> None:
        """Lets the pinned version go; also at the stream's end."""
        self._pinned, self._expired = None, False
        self._stop_expiry()

    def _restart_expiry(self) -> None:
        self._stop_expiry()
        if self._pinned is not None:
            self._expiry = asyncio.get_running_loop().call_later(self._pin_seconds, self._expire)

    def _stop_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _expire(self) -> None:
        self._pinned, self._expired = None, True


def _request_alone(payload: bytes) -> bytes | None:
    """The ActRequest's bytes in a StreamActRequest with nothing else in it. None: only protobuf can tell."""
    if not payload.startswith(_REQUEST):
        return None
    size, start = read_varint(payload, len(_REQUEST))
    return payload[start:] if size >= 0 and start + size == len(payload) else None


def _check_names(request: ActRequest, pinned: LoadedVersion) -> None:
    """A request may repeat what is pinned, not ask for something else."""
    if request.policy not in ("", pinned.policy):
        raise InvalidArgument.of("policy", got=request.policy, wanted=f"{pinned.policy}, which is pinned")
    if request.HasField("version") and request.version != pinned.version:
        raise InvalidArgument.of("version", got=request.version, wanted=f"{pinned.version}, which is pinned")
