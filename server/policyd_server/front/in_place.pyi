from collections.abc import Callable

from policyd_server.acting.batcher import Batcher
from policyd_server.front import Event
from policyd_server.front.binding import Front
from policyd_server.front.recogniser import Recogniser

class InPlace:
    """Answers plain requests of Act and StreamAct in the front's thread.

    It creates no Python object per row. A request is read from the front's buffer into ONNX
    Runtime's input tensor. All requests that have arrived are answered with as few inference calls
    as possible. For one thread.
    """

    def __init__(
        self,
        front: Front,
        recogniser: Recogniser,
        batcher: Batcher,  # its observer hears of each call, and its `record` gets the records
        *,
        most_rows: int,  # larger requests wait in the batcher for their turn
        caller_of: Callable[[int, int], bytes] | None = None,
        ended: Callable[[int], None] | None = None,
    ) -> None:
        """`caller_of`: returns the name of the caller of a call, from its number and its method.

        `ended` is called with the number of each call of Act before it ends.
        """
    def wait(self, milliseconds: int) -> list[Event]:
        """As `Front.wait`, but plain requests are answered and not returned.

        It ends when a large one waits in the batcher. It returns requests that are slow, shadowed,
        or new to the reader, a large one that has come alone, those for which the graph computed no
        distribution, and the first message of a stream.
        """
