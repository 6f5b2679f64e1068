# Stream, headers and trailers, message, whether the server refused it before it began.
_Ended = tuple[int, dict[bytes, bytes], bytes, bool]

class Session:
    """Unary gRPC calls over one HTTP/2 connection to a front.

    It has no socket: `pending` gives the bytes to send, `receive` takes those that came.
    """

    @property
    def open(self) -> bool:
        """Whether another call may begin. False once the server has said goodbye."""
    @property
    def over(self) -> bool:
        """Whether nothing more is sent or read: both said goodbye, or one did not speak HTTP/2."""
    def call(self, headers: list[tuple[bytes, bytes]], message: bytes) -> int:
        """Begins a call with these headers and returns its stream.

        ConnectionError: the connection takes no more.
        """
    def cancel(self, stream: int) -> None:
        """Gives a call up. It ends with the next `receive` or never."""
    def pending(self) -> bytes:
        """What has to be sent now. It may be empty."""
    def receive(self, data: bytes) -> list[_Ended]:
        """The calls that have ended. ConnectionError: the bytes are not HTTP/2."""
