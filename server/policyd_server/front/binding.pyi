from collections.abc import Sequence

from policyd_server.front import Event

MESSAGE: int  # a whole message
GONE: int  # nobody waits for a call any more
ENDED: int  # a stream's client sends no more
WAITS: int  # the front drains, and the call waits for its client: fail it
AUTHORIZE: int  # admit or fail the call
TOO_LARGE: int  # the message is larger than max_message: fail the call
RENEWED: int  # no call; the certificate was read again
BAD_CERTIFICATE: int  # no call; the changed files cannot be used, see tls_error
UPSTREAM: int  # no call; a call needs the server behind: start it, then call `upstream_is`

class Front:
    """An HTTP/2 server for gRPC.

    One thread calls `wait` and handles its events. Calls that have ended may be answered: nothing
    happens then. See core/front.h for the settings.
    """

    def __init__(
        self,
        methods: Sequence[tuple[str, bool]],
        buckets: Sequence[float],
        *,
        upstream: str | None,
        upstream_later: bool = False,
        authorize: bool,
        max_message: int,
        max_held: int,
        max_streams: int,
        max_headers: int,
        max_connections: int,
        handshake_seconds: float,
        stall_seconds: float,
        keepalive_seconds: float,
        keepalive_timeout: float,
        max_age: float,
    ) -> None:
        """`methods`: full name, and whether it is a stream. `buckets`: upper bounds in seconds."""
    def use_tls(self, certificate: str, key: str, authority: str | None) -> None:
        """Reads PEM files, which are followed from now on. ValueError: they cannot be used."""
    @property
    def tls_error(self) -> str:
        """Returns why the files could not be used at the last attempt."""
    def listen(self, descriptor: int, tls: bool) -> None:
        """Takes over a listening socket."""
    def wait(self, milliseconds: int) -> list[Event]:
        """Serves until there are events, or the time is over. Returns the events."""
    def credentials(self, call: int) -> tuple[str | None, str | None, str]:
        """Returns the header `authorization`, the client certificate's common name, and the peer.

        The certificate is verified. The peer is the client's address.
        """
    def request_id(self, call: int) -> str:
        """Returns the header `x-request-id`; empty: there is none."""
    def traceparent(self, call: int) -> str:
        """Returns the header `traceparent`; empty: there is none."""
    def begin(self, call: int) -> float:
        """Returns when the call arrived, by time.monotonic()."""
    def admit(self, call: int, seconds: float) -> None:
        """Allows the message to be read.

        For so many seconds, this also admits calls with the same credentials on the same
        connection.
        """
    def answer(self, call: int, message: bytes, last: bool) -> None:
        """Sends a message. If it is the last, the call ends with OK. From any thread."""
    def finish(self, call: int) -> None:
        """Ends a stream with OK. From any thread."""
    def fail(self, call: int, code: int, message: str, details: bytes) -> None:
        """Ends a call with a status. From any thread.

        `details`: a serialised google.rpc.Status.
        """
    def trailer(self, call: int, name: str, value: str) -> None:
        """Adds metadata to a call's end: printable ASCII, at most four items. From any thread.

        Called before the call is answered.
        """
    def wake(self) -> None:
        """Makes `wait` return. From any thread."""
    def upstream_is(self, *, there: bool) -> None:
        """Says whether the server behind listens. From any thread.

        Calls that wait for it are relayed, or fail.
        """
    def drain(self) -> None:
        """Closes the listening sockets and sends GOAWAY; calls go on. From any thread."""
    @property
    def calls(self) -> int:
        """The number of calls under way."""
    @property
    def own_calls(self) -> int:
        """The number of calls of `methods`, without those that the server behind answers."""
    @property
    def connections(self) -> int:
        """The number of open connections, including the one to the server behind."""
    @property
    def held(self) -> int:
        """Bytes of unfinished messages and unsent answers."""
    def counted(self, method: int) -> tuple[list[int], list[int], float]:
        """Returns the counts of a method since the start.

        They are the calls by status code, the calls by bucket of their duration, and their seconds.
        """
