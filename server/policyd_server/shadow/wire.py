"""What workers send to the shadow process: frames as those to the recorder (experience/wire.py).

The body of ROWS is one line of JSON, a `Header`, then the observations (float32) and the mask (a
byte an element). The body of ASK is a policy's name, that of its reply a CompareVersionsResponse.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from policyd_server.experience.wire import encode
from policyd_server.sampling import Bool

ROWS, ASK, ANSWER = 11, 12, 13


class Target(NamedTuple):
    """One shadow of an alias, and the version that answers."""

    policy: str
    alias: str
    base: int
    version: int
    start: int  # nanoseconds since the epoch


class Header(NamedTuple):
    """The line of JSON before the observations of one request."""

    target: Target
    rows: int  # 0: the frame has only the counts below
    temperature: float
    masked: int  # bytes of the mask; 0: there is none
    dropped: int  # requests left out since the last frame
    crashed: int  # how often the shadow process has ended since the last frame


def rows_frame(
    target: Target, observations: bytes, rows: int, temperature: float, mask: Bool | None
) -> bytes:
    """Returns the frame of one request to compute."""
    masked = b"" if mask is None else mask.tobytes()
    return _frame(Header(target, rows, temperature, len(masked), 0, 0), observations + masked)


def counts_frame(target: Target, dropped: int, crashed: int) -> bytes:
    """Returns a frame that only counts what was not computed."""
    return _frame(Header(target, 0, 1.0, 0, dropped, crashed), b"")


def read_rows(body: bytes) -> tuple[Header, bytes, bytes]:
    """Returns the header, the observations and the mask of a frame of ROWS."""
    line, _, rest = body.partition(b"\n")
    target, *numbers = json.loads(line)
    header = Header(Target(*target), *numbers)
    size = len(rest) - header.masked
    return header, rest[:size], rest[size:]


def _frame(header: Header, content: bytes) -> bytes:
    return encode(ROWS, json.dumps(header).encode() + b"\n" + content)
