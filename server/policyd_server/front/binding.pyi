from collections.abc import Sequence

from policyd_server.front import Event

MESSAGE: int  # a whole message
GONE: int  # nobody waits for a call any more
ENDED: int  # a stream's client sends no more
WAITS: int  # the front drains, and a call waits for its client: fail it
AUTHORIZE: int  # admit or fail the call
TOO_LARGE: int  # the message is larger than max_message: fail the call
RENEWED: int  # the certificate was read anew; of no call
BAD_CERTIFICATE: int  # the changed files cannot be used, see tls_error; of no call
UPSTREAM: int  # a call needs the server behind: start it, then say `upstream_is`; of no call

class Front:
    """An HTTP/2 server for gRPC.

    `wait` and what concerns the events that it returned is for one thread.

    Calls that are gone may be answered: nothing happens. See core/front.h for the settings.
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
        """`methods`: full name, and whether it is a stream. `buckets`: of durations, in seconds."""
    def use_tls(self, certificate: str, key: str, authority: str | None) -> None:
        """Paths of PEM files, followed from now on. ValueError: they cannot be used."""
    @property
    def tls_error(self) -> str:
        """Why the files could not be used last."""
    def listen(self, descriptor: int, tls: bool) -> None:
        """Takes over a listening socket."""
    def wait(self, milliseconds: int) -> list[Event]:
        """Serves until there is something to do, or the time is over."""
    def credentials(self, call: int) -> tuple[str | None, str | None, str]:
        """The header `authorization`, the client certificate's common name, and the address.

        The certificate is verified.
        """
    def request_id(self, call: int) -> str:
        """The header `x-request-id`; empty: there is none."""
    def traceparent(self, call: int) -> str:
        """The header `traceparent`; empty: there is none."""
    def begin(self, call: int) -> float:
        """When the call came, as time.monotonic() tells."""
    def admit(self, call: int, seconds: float) -> None:
        """Its message may be read.

        So may others with the same credentials on its connection, for so long.
        """
    def answer(self, call: int, message: bytes, last: bool) -> None:
        """Sends a message; the call ends well if it is the last. From any thread."""
    def finish(self, call: int) -> None:
        """Ends a stream well. From any thread."""
    def fail(self, call: int, code: int, message: str, details: bytes) -> None:
        """Ends a call with a status; `details`: a serialised google.rpc.Status. From any thread."""
    def trailer(self, call: int, name: str, value: str) -> None:
        """Adds metadata to a call's end, before it is answered: ASCII, at most four.

        From any thread.
        """
    def wake(self) -> None:
        """Makes `wait` return. From any thread."""
    def upstream_is(self, *, there: bool) -> None:
        """Tells of the server behind: calls that wait go there, or fail. From any thread."""
    def drain(self) -> None:
        """Closes the listening sockets, says goodbye to clients; calls go on. From any thread."""
    @property
    def calls(self) -> int:
        """Calls under way."""
    @property
    def own_calls(self) -> int:
        """Those of `methods`, without what the server behind answers."""
    @property
    def connections(self) -> int:
        """Open connections, the one to the server behind among them."""
    @property
    def held(self) -> int:
        """Bytes of unfinished messages and unsent answers."""
    def counted(self, method: int) -> tuple[list[int], list[int], float]:
        """Of a method since the start.

        Calls by code, calls by bucket of their duration, their seconds.
        """
