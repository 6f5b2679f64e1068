from typing import Any

from policyd_server.acting.plain import PlainReader
from policyd_server.transports.replies import Call

class Recogniser:
    """Recognises plain requests among the messages of Act and StreamAct. For one thread."""

    def __init__(
        self,
        method: int,  # Act's index in the front's table
        stream_method: int,  # StreamAct's index; -1: there is none
        streams: dict[int, Call[Any]],  # the open ones, by number; their `talk` is an ActStream
        reader: PlainReader,
    ) -> None: ...
