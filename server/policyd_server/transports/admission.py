"""Who calls the front's methods, who may, and what is too large for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from policyd.errors import Exhausted, PolicydError
from policyd.runtime.callers import Caller
from policyd.runtime.guard import Gate
from policyd_server.acting.direct import DirectMethod, Ending, Refused
from policyd_server.front.binding import Front
from policyd_server.transports.replies import Call, Replies

# Callers with valid credentials are checked again after this many seconds on the same connection.
VERDICT_SECONDS = 0.25

_REFUSED = Refused()


class Limits(NamedTuple):
    """Who may call, and how much at once."""

    max_message_bytes: int
    gate: Gate | None


class Admission:
    """Admits and refuses calls before their messages are read. For the front's thread."""

    def __init__(
        self, front: Front, methods: Sequence[DirectMethod], replies: Replies, limits: Limits
    ) -> None:
        self._front = front
        self._paths = [method.path for method in methods]
        self._replies = replies
        self._max_message_bytes = limits.max_message_bytes
        self._gate = limits.gate

    @property
    def knows_callers(self) -> bool:
        """Whether callers have names."""
        return self._gate is not None

    def caller(self, number: int, method: int) -> Caller | None:
        """Returns the caller of an admitted call. None: callers have no names."""
        if self._gate is None or self._gate.authorizer.is_open(self._paths[method]):
            return None
        authorization, common_name, _ = self._front.credentials(number)
        return self._gate.authorizer.caller(authorization, common_name)

    def caller_name(self, number: int, method: int) -> bytes:
        """Returns the name of the caller; empty: callers have no names."""
        caller = self.caller(number, method)
        return caller.name.encode() if caller is not None else b""

    def authorize(self, number: int, method: int) -> None:
        """Admits a call, or ends it."""
        gate, path = self._gate, self._paths[method]
        if gate is not None and not gate.authorizer.is_open(path):
            try:
                gate.admit(path, *self._front.credentials(number))
            except PolicydError as error:
                self._replies.end(Call(number, method, _REFUSED, streams=False), error)
                return
        self._front.admit(number, VERDICT_SECONDS)

    def refuse(self, number: int, method: int, size: int, stream: Call[Ending] | None) -> None:
        """Ends a call whose message has `size` bytes, which is too large.

        `stream`: the stream that the message belongs to, if any.
        """
        limit = self._max_message_bytes
        message = f"the message has {size} bytes or more, this server takes at most {limit}"
        error = Exhausted(message, retry_after=float("inf"), reason="MESSAGE_TOO_LARGE")
        call = stream or Call[Ending](number, method, _REFUSED, streams=False)
        self._replies.end(call, error)
        call.talk.close()
