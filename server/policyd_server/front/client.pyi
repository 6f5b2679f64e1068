# Stream, headers and trailers, message, and whether the server refused it before it began.
_Ended = tuple[int, dict[bytes, bytes], bytes, bool]

class Session:
    """Unary gRPC calls over one HTTP/2 connection to a front.

    It has no socket: `pending` gives the bytes to send, `receive` takes those that came.
    """

    @property
    def open(self) -> bool:
        """Whether another call may begin. False after the server has sent GOAWAY."""
    @property
    def over(self) -> bool:
        """Whether nothing more is sent or read.

        That is so when both sides have ended, or when one did not speak HTTP/2.
        """
    def call(self, headers: list[tuple[bytes, bytes]], message: bytes) -> int:
        """Begins a call with these headers and returns its stream.

        ConnectionError: the connection takes no more.
        """
    def cancel(self, stream: int) -> None:
        """Cancels a call. It ends with the next `receive`, or never."""
    def pending(self) -> bytes:
        """Returns what has to be sent now. It may be empty."""
    def receive(self, data: bytes) -> list[_Ended]:
        """Returns the calls that have ended. ConnectionError: the bytes are not HTTP/2."""
