from collections.abc import Iterable

# What `exchange` returns instead of a message.
DONE: int  # the call has ended: see `response`
LATE: int  # the deadline has passed
LOST: int  # the connection has ended or is broken
UNSENT: int  # likewise, and nothing of the call has left this process
TOO_LARGE: int  # the message is larger than `max_message`: the last number of `response` is its size
HEADERS_TOO_LARGE: int
BAD_MESSAGE: int  # compressed, cut short, or one that nobody asked for
NO_MEMORY: int

class Headers:
    """The headers that calls of one method share. At most 14, names in lower case."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None: ...

class Wire:
    """A client's end of one HTTP/2 connection, for one call at a time. Takes over a socket.

    Only the thread that makes the call uses it; but any thread may `shut` it.
    """

    def __init__(self, descriptor: int, max_message: int) -> None: ...
    @property
    def descriptor(self) -> int: ...
    @property
    def usable(self) -> bool:
        """Reads what came since the last call, and answers it. Whether another call can begin."""

    def tend(self) -> bool:
        """Reads what came during a call while nobody waited, and answers it. Whether it lives."""

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
        """A call of one message: `begin` and `exchange`."""

    def exchange(self, message: bytes, last: bool, deadline: float) -> bytes | int:
        """Sends a message. Returns the one that answers it, or why there is none.

        `last`: the client sends no more, and the answer is returned when the call has ended.
        `deadline`: by time.monotonic(). Raises what a signal's handler raises; give the call up
        then.
        """

    def response(
        self,
    ) -> tuple[bool, bool, int, int, int, bytes | None, bytes | None, bytes | None, int]:
        """Returns how the call stands.

        Whether it has ended; whether nothing came before the end; HTTP's status, 0 if there is
        none; gRPC's, -1 if there is none; HTTP/2's error code if the stream was reset, or -1;
        grpc-message, grpc-status-details-bin and grpc-retry-pushback-ms as they came; the size of
        the message.
        """

    def finish(self, deadline: float) -> int:
        """Sends no more messages of this call, and waits for its end. Raises as `exchange`."""

    def cancel(self) -> None:
        """Gives the call up, and tells the server."""

    def shut(self) -> None:
        """Ends the connection. The thread that waits for it sees it as lost."""

    def abandon(self) -> None:
        """Closes the descriptor without a word: in the child of a fork."""
