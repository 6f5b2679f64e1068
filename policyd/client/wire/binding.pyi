from collections.abc import Iterable

# The values that `exchange` returns instead of a message.
DONE: int  # the call has ended: see `response`
LATE: int  # the deadline has passed
LOST: int  # the connection has ended or is broken
UNSENT: int  # the same, and nothing of the call was sent
TOO_LARGE: int  # the message is larger than `max_message`; its size is the last item of `response`
HEADERS_TOO_LARGE: int
BAD_MESSAGE: int  # compressed, cut short, or a message that was not expected
NO_MEMORY: int

class Headers:
    """The headers that calls of one method share. At most 14, names in lower case."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None: ...

class Wire:
    """A client's end of one HTTP/2 connection, for one call at a time. Takes over a socket.

    Only the thread that makes the call uses it, but any thread may call `shut`.
    """

    def __init__(self, descriptor: int, max_message: int) -> None: ...
    @property
    def descriptor(self) -> int: ...
    @property
    def usable(self) -> bool:
        """Reads what arrived since the last call and answers PINGs.

        Returns whether another call can begin.
        """

    def tend(self) -> bool:
        """Reads what arrived during a call while nobody waited, and answers PINGs.

        Returns whether the connection still works.
        """

    def begin(self, headers: Headers, timeout: bytes | None, attempts: bytes | None) -> bool:
        """Begins a call. False: it cannot, and nothing was sent."""

    def call(
        self,
        headers: Headers,
        timeout: bytes | None,
        attempts: bytes | None,
        message: bytes,
        deadline: float,
    ) -> bytes | int:
        """Makes a call with one message: `begin`, then `exchange`."""

    def exchange(self, message: bytes, last: bool, deadline: float) -> bytes | int:
        """Sends a message. Returns the response's message, or one of the values above.

        `last`: the client sends no more messages, so it returns when the call has ended.
        `deadline`: by time.monotonic(). Raises what a signal's handler raises; cancel the call
        then.
        """

    def response(
        self,
    ) -> tuple[bool, bool, int, int, int, bytes | None, bytes | None, bytes | None, int]:
        """Returns the state of the call.

        The items are: whether it has ended; whether it ended without any message; HTTP's status, 0
        if there is none; gRPC's, -1 if there is none; HTTP/2's error code if the stream was reset,
        or -1; grpc-message, grpc-status-details-bin and grpc-retry-pushback-ms as they came; the
        size of the message.
        """

    def finish(self, deadline: float) -> int:
        """Sends no more messages of this call, and waits for its end. Raises as `exchange`."""

    def cancel(self) -> None:
        """Cancels the call, and tells the server."""

    def shut(self) -> None:
        """Ends the connection. The thread that waits for it sees it as lost."""

    def abandon(self) -> None:
        """Closes only the descriptor, in the child of a fork."""
