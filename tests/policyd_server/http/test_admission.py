"""All requests together hold a bounded number of bytes."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from starlette.requests import Request
from starlette.types import Message

from policyd.errors import Exhausted
from policyd_server.http import admission, bodies
from policyd_server.http.access import Access
from policyd_server.http.admission import Admission, Share


def _request(share: Share, *parts: bytes, coding: str = "identity") -> Request:
    left = list(parts)

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    headers = [(b"content-encoding", coding.encode())]
    return Request({"type": "http", "headers": headers, "state": {"share": share}}, receive)


def test_a_body_that_no_longer_fits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fits when an earlier request has been answered."""
    monkeypatch.setattr(admission, "MAX_HELD_BYTES", 100)
    everyone = Admission(Access(None))
    first, second = Share(everyone), Share(everyone)
    assert asyncio.run(bodies.read(_request(first, b"x" * 30, b"x" * 30), 1000)) == b"x" * 60
    with pytest.raises(Exhausted, match="try again"):
        asyncio.run(bodies.read(_request(second, b"x" * 30, b"x" * 30), 1000))
    second.release()
    first.release()
    assert everyone.held == 0
    assert asyncio.run(bodies.read(_request(second, b"x" * 60), 1000)) == b"x" * 60


def test_inflated_bytes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short body may be a long one."""
    monkeypatch.setattr(admission, "MAX_HELD_BYTES", 500)
    share = Share(Admission(Access(None)))
    with pytest.raises(Exhausted, match="try again"):
        asyncio.run(bodies.read(_request(share, gzip.compress(b"x" * 600), coding="gzip"), 1000))
