"""Times and durations as people read them."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp


def clock(seconds: float) -> str:
    """Returns a duration as 0:05, 12:34 or 1:02:03."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def moment(time: Timestamp) -> str:
    """Returns a time to the second with its zone, UTC."""
    return f"{time.ToJsonString()[:19]}Z"
