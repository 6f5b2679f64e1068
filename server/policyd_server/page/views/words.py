"""Numbers, times and amounts as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def moment(stamp: Timestamp) -> str:
    """Returns a time in UTC: `2026-11-28 04:47:00 UTC`; empty if it is not set."""
    if not stamp.seconds:
        return ""
    return f"{datetime.fromtimestamp(stamp.seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def lasting(seconds: float) -> str:
    """Returns a duration in its two largest units: `1 h 5 min`, `12 s`."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def lasting_of(duration: Duration) -> str:
    """A protobuf duration in words."""
    return lasting(duration.seconds + duration.nanos / 1e9)


def since(stamp: Timestamp, now: datetime) -> str:
    """Returns how long ago it was: `just now`, `5 min ago`, `3 d ago`.

    It is coarse, so that it changes seldom.
    """
    seconds = now.timestamp() - stamp.seconds
    for size, unit in _UNITS[:-1]:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def number(value: float) -> str:
    """Returns a number with as many digits as are useful: `0.0123`, `12.3`, `481.2`, `12,345`."""
    if not math.isfinite(value):
        return "none"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 10_000:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}" if size >= 0.001 else f"{value:.1e}"


def milliseconds(seconds: float) -> str:
    """A latency in ms."""
    return f"{number(1000 * seconds)} ms"


def amount(size: float) -> str:
    """Bytes: `12.0 kB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def count(number_of: int, thing: str) -> str:
    """`1 version`, `3 versions`."""
    return f"{number_of:,} {thing}" + ("" if number_of == 1 else "s")
