"""Asks a run to stop after SIGTERM or SIGINT, and ends the process if the signal comes again."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

STOPPED = 143  # exit code after SIGTERM
SAME_SIGNAL = 1.0  # seconds in which a signal may arrive twice: from the terminal and from the guardian


@contextlib.contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether SIGTERM or SIGINT came.

    Another signal a second later ends the process as usual.
    """
    received: list[float] = []

    def receive(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  signal's signature
        received.append(time.monotonic())
        if received[-1] - received[0] > SAME_SIGNAL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def stop_requested() -> bool:
        for number in before:
            if signal.getsignal(number) is not receive:  # an environment has set a handler of its own
                signal.signal(number, receive)
        return bool(received)

    before = {number: signal.signal(number, receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop_requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
