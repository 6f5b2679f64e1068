"""Rates and latencies: reads the server's own /metrics while somebody looks at them."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from urllib.parse import urlencode

from prometheus_client.parser import text_string_to_metric_families

from policyd.runtime import listen_address
from policyd_server.page.views.traffic import NAMES, Reading, Sample, reading

WINDOW = 10.0  # rates are computed over this many seconds
FRESH = 0.9  # a reading counts as the newest for this many seconds
DEADLINE = 2.0
# The address is on this machine, so no proxy is used.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Meter:
    """Reads one server's metrics. Created and used on one event loop."""

    def __init__(self, address: str | None) -> None:
        """`address`: of /metrics; None: nothing is measured."""
        self._url = None if address is None else f"http://{_reachable(address)}/metrics"
        # Only the metrics that the page shows are collected, because collecting holds a worker up.
        # With several workers, all are collected.
        self._query = "?" + urlencode([("name[]", name) for name in NAMES])
        self._readings: deque[Reading] = deque(maxlen=64)
        self._reading = asyncio.Lock()
        #: Why the last reading failed; empty: it succeeded.
        self.problem = ""

    @property
    def measures(self) -> bool:
        """Whether the server measures anything."""
        return self._url is not None

    async def readings(self) -> tuple[Reading, Reading] | None:
        """Returns a reading from some seconds ago, and the newest. None: there are not two yet."""
        if self._url is None:
            return None
        async with self._reading:
            if not self._readings or time.monotonic() - self._readings[-1].seconds > FRESH:
                try:
                    text = await asyncio.to_thread(_fetch, self._url + self._query)
                    if not text and self._query:
                        self._query = ""
                        text = await asyncio.to_thread(_fetch, self._url)
                except OSError as error:
                    reason = getattr(error, "reason", error)  # urllib wraps the cause
                    self.problem = f"{self._url} cannot be read: {reason}"
                    return None
                self.problem = ""
                self._readings.append(reading(_samples(text), time.monotonic()))
        newest = self._readings[-1]
        while newest.seconds - self._readings[0].seconds > WINDOW and len(self._readings) > 2:
            self._readings.popleft()
        return None if self._readings[0] is newest else (self._readings[0], newest)


def _fetch(url: str) -> str:
    with _OPENER.open(url, timeout=DEADLINE) as response:
        text: str = response.read().decode()
    return text


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield Sample(sample.name, sample.labels, sample.value)


def _reachable(address: str) -> str:
    """Returns the address under which this machine reaches what listens at `address`."""
    host, port = listen_address.host_of(address), address.rpartition(":")[2]
    if host in ("0.0.0.0", ""):  # noqa: S104 -- it is compared, not bound
        host = "127.0.0.1"
    if host == "::":
        host = "::1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
