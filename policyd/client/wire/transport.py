"""Calls over the compiled core: deadlines, retries and errors as grpcio has them."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from policyd.client.acting import ActCodec, Actions, ActOptions, Observations, actions_of
from policyd.client.calls import Call
from policyd.client.channel import MAX_MESSAGE_BYTES, RETRY
from policyd.client.credentials import Credentials
from policyd.client.wire import NotHere, codec
from policyd.client.wire.binding import DONE, UNSENT, Headers, Wire
from policyd.client.wire.endpoints import Endpoint
from policyd.client.wire.exchange import WireExchange
from policyd.client.wire.failures import LATE, Failure, failure_of, unreachable
from policyd.client.wire.methods import METHODS, STREAM_ACT, Method
from policyd.client.wire.pool import Pool
from policyd.client.wire.request_headers import headers_of, timeout_of
from policyd.errors import PolicydError

Parsed = TypeVar("Parsed")

_ACT = "policies", "Act"
_JITTER = 0.2  # a pause is up to this fraction shorter or longer


class WireTransport:
    """Sends calls to one endpoint. Threads may share it."""

    def __init__(self, endpoint: Endpoint, address: str, credentials: Credentials) -> None:
        self._address = address
        self.pool = Pool(endpoint)
        self._closed = threading.Event()
        self._stream_headers = headers_of(STREAM_ACT.path, endpoint.authority, credentials)
        self._headers = {
            key: headers_of(method.path, endpoint.authority, credentials) for key, method in METHODS.items()
        }

    def send(self, call: Call[Any], limit: float | None) -> Any:
        """Sends a call and returns the response's message.

        `limit`: timeout in seconds; None: no limit. Raises the errors of `policyd.errors`, and
        NotHere if grpcio has to make the call.
        """
        key = call.service, call.method
        if key not in METHODS:
            raise NotHere
        return self.parsed(METHODS[key].parse, self._answer(key, call.request.SerializeToString(), limit))

    def encoded(self, observations: Observations, options: ActOptions) -> bytes | None:
        """Returns the serialised request for `act`. None: only protobuf can write it."""
        return codec.encode(observations, options)

    def act(self, request: bytes, observations: Any, options: ActOptions, limit: float | None) -> Actions:
        """Sends a request of `encoded`. Raises the errors of `send` and of ActCodec."""
        answer = self._answer(_ACT, request, limit)
        fields = codec.decode(answer, len(observations) if observations.ndim > 1 else 1)
        if fields is not None:
            return actions_of(fields)
        # an unusual response: ActCodec decodes it or says what is wrong
        response = self.parsed(METHODS[_ACT].parse, answer)
        return ActCodec(observations, **options).decode(response)

    def _answer(self, key: tuple[str, str], message: bytes, limit: float | None) -> bytes:
        deadline = math.inf if limit is None else time.monotonic() + limit
        if len(message) > MAX_MESSAGE_BYTES:
            raise self.error_of(_too_large(len(message)))
        timeout = timeout_of(math.inf if limit is None else limit)
        answer = self._attempt(self._headers[key], message, deadline, timeout, None)
        return answer if isinstance(answer, bytes) else self._retried(answer, key, message, deadline)

    def parsed(self, parse: Callable[[bytes], Parsed], answer: bytes) -> Parsed:
        """Parses a response into its message. Raises Internal if that fails."""
        try:
            return parse(answer)
        except DecodeError:
            failure = Failure(grpc.StatusCode.INTERNAL, "Exception deserializing response!")
            raise self.error_of(failure) from None

    def error_of(self, failure: Failure) -> PolicydError:
        """Returns the error that a failed call raises."""
        if self._closed.is_set():
            failure = Failure(grpc.StatusCode.CANCELLED, "Channel closed!")
        return failure.error(self._address)

    def stream(self, limit: float | None) -> WireExchange:
        """Opens StreamAct. `limit`: seconds for the whole stream; None: no limit."""
        return WireExchange(self, math.inf if limit is None else time.monotonic() + limit)

    def begin_stream(self, deadline: float) -> Wire | Failure:
        """Returns a connection on which StreamAct has begun, to be given back by `pool.release`."""
        wire = self.pool.take() or self._connected(deadline)
        if isinstance(wire, Failure):
            return wire
        timeout = timeout_of(deadline - time.monotonic())
        if self._closed.is_set() or not wire.begin(self._stream_headers, timeout, None):
            self.pool.release(wire, ended=False)
            return Failure(grpc.StatusCode.UNAVAILABLE, "the connection was lost", unprocessed=True)
        return wire

    @property
    def full(self) -> bool:
        """Whether all connections are in use."""
        return self.pool.full

    def close(self) -> None:
        """Ends the connections. Calls under way are cancelled."""
        self._closed.set()
        self.pool.close()

    def _attempt(
        self, headers: Headers, message: bytes, deadline: float, timeout: bytes | None, previous: bytes | None
    ) -> bytes | Failure:
        """Makes one attempt. Raises NotHere if too many calls are under way."""
        found = self.pool.take() or self._connected(deadline, raises=True)
        if isinstance(found, Failure):
            return found
        wire = found
        try:
            if self._closed.is_set():
                outcome: bytes | int = UNSENT
            else:
                outcome = wire.call(headers, timeout, previous, message, deadline)
        except BaseException:  # raised by a signal's handler
            self.pool.release(wire, ended=False)
            raise
        if isinstance(outcome, bytes):
            self.pool.give(wire)
            return outcome
        failure = failure_of(wire, outcome)
        self.pool.release(wire, ended=outcome == DONE)
        return failure

    def _connected(self, deadline: float, *, raises: bool = False) -> Wire | Failure:
        """Returns a new connection, to be given back by `pool.release`.

        With `raises`, raises NotHere if too many connections are in use.
        """
        if raises and self.full:
            raise NotHere
        try:
            return self.pool.connect(max(deadline - time.monotonic(), 0.001))
        except OSError as error:
            return unreachable(error) if time.monotonic() < deadline else LATE

    def _retried(self, failure: Failure, key: tuple[str, str], message: bytes, deadline: float) -> bytes:
        """Retries a failed call while that is safe and may help. Otherwise raises its error."""
        method, headers, attempts, refused = METHODS[key], self._headers[key], 1, False
        while True:
            if self._closed.is_set():
                raise self.error_of(failure)
            if failure.unprocessed and not refused:
                refused, pause = True, 0.0
            elif (pause := _pause(failure, method, attempts)) >= 0 and time.monotonic() + pause < deadline:
                attempts += 1
            else:
                raise self.error_of(failure)
            if pause > 0 and self._closed.wait(pause):
                continue
            previous = b"%d" % (attempts - 1) if attempts > 1 else None
            answer = self._attempt(
                headers, message, deadline, timeout_of(deadline - time.monotonic()), previous
            )
            if isinstance(answer, bytes):
                return answer
            failure = answer


def _pause(failure: Failure, method: Method, attempts: int) -> float:
    """Returns the seconds to wait before a retry. Below 0: the call is not retried."""
    if (
        failure.code is not grpc.StatusCode.UNAVAILABLE
        or failure.answered
        or not method.repeatable
        or attempts >= RETRY.attempts
    ):
        return -1.0
    if failure.pushback is not None:
        return int(failure.pushback) / 1000 if failure.pushback.isdigit() else -1.0
    backoff = min(RETRY.first * float(RETRY.factor ** (attempts - 1)), RETRY.longest)
    return backoff * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 -- not a secret


def _too_large(size: int) -> Failure:
    message = f"Sent message larger than max ({size} vs. {MAX_MESSAGE_BYTES})"
    return Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
