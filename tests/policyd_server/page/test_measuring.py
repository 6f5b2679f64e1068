"""Readings of real /metrics, of one process and of several."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from policyd_server.page import measuring
from policyd_server.page.measuring import Meter
from policyd_server.page.views.traffic import traffic

KEY = ("cart", "1")


class _Together:
    """Collects another registry without describing it beforehand, like that of several workers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[object]:
        """Everything."""
        return iter(self._registry.collect())


@pytest.mark.parametrize("together", [False, True], ids=["one process", "several"])
def test_it_reads_what_the_page_shows(together: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates and latencies are taken between two readings, with either registry."""
    monkeypatch.setattr(measuring, "FRESH", 0.0)
    registry = CollectorRegistry()
    requests = Counter("policyd_policy_requests", "Requests.", ("policy", "version"), registry=registry)
    seconds = Histogram("policyd_policy_seconds", "Time.", ("policy", "version"), registry=registry)
    Counter("other", "Not read.", registry=registry)
    served = registry
    if together:
        served = CollectorRegistry()
        served.register(_Together(registry))  # type: ignore[arg-type]  # it is no subclass of theirs
    server, thread = start_http_server(0, "127.0.0.1", served)

    async def read() -> None:
        meter = Meter(f"127.0.0.1:{server.server_port}")
        requests.labels(*KEY).inc(5)
        assert await meter.readings() is None
        requests.labels(*KEY).inc(10)
        seconds.labels(*KEY).observe(0.02)
        found = await meter.readings()
        assert found is not None
        shown = traffic(*found, KEY)
        assert shown.requests_per_second * (found[1].seconds - found[0].seconds) == pytest.approx(10)
        assert shown.half_within == pytest.approx(0.025)

    try:
        asyncio.run(read())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_it_says_why_it_reads_nothing() -> None:
    """The reader of metrics says what went wrong, until a reading succeeds."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        meter = Meter(f"127.0.0.1:{closed.getsockname()[1]}")
        assert asyncio.run(meter.readings()) is None
    assert meter.measures
    assert "/metrics cannot be read: " in meter.problem
    assert "refused" in meter.problem
    assert Meter(None).problem == ""
