from collections.abc import Callable

from policyd_server.acting.batcher import Batcher
from policyd_server.front import Event
from policyd_server.front.binding import Front
from policyd_server.front.recogniser import Recogniser

class InPlace:
    """Answers plain requests of Act and StreamAct in the front's thread.

    It makes no Python object a row.

    A request is read out of the front's buffer into the tensor that ONNX Runtime takes. All that
    have arrived at a moment are answered by as few inference calls as possible. For one thread.
    """

    def __init__(
        self,
        front: Front,
        recogniser: Recogniser,
        batcher: Batcher,  # its observer is told of each call, and records go where its own go
        *,
        most_rows: int,  # of a request that is answered in place
        caller_of: Callable[[int, int], bytes] | None = None,
        ended: Callable[[int], None] | None = None,
    ) -> None:
        """`caller_of`: the name of who sent a call of a method.

        `ended` is told of each call of Act before it ends.
        """
    def wait(self, milliseconds: int) -> list[Event]:
        """As `Front.wait`, but plain requests are answered and left out of the events.

        Left to the caller are also requests that are large, slow, shadowed, new to the reader, or
        for which the graph computed no distribution, and the first message of a stream.
        """
