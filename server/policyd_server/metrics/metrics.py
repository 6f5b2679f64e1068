"""All metrics of one server process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prometheus_client import CollectorRegistry

from policyd.runtime.certificate_expiry import ExpiryMetric
from policyd.runtime.rpc_metrics import FLUSH_SECONDS, RpcMetrics
from policyd_server.metrics.calls import CallMetrics
from policyd_server.metrics.canaries import CanaryMetrics
from policyd_server.metrics.doze import Doze
from policyd_server.metrics.experience import ExperienceMetrics
from policyd_server.metrics.shadows import ShadowMetrics
from policyd_server.metrics.versions import VersionMetrics

#: Between two flushes of an idle server. Calls that only the front counts, such as health checks,
#: appear after this long.
IDLE_SECONDS = 10.0


class ServerMetrics:
    """All metrics of a process. Created only if metrics are wanted."""

    def __init__(self, certificate: Path | None = None) -> None:
        """`certificate`: the server's certificate, if it uses TLS."""
        self.registry = CollectorRegistry()
        self.rpc = RpcMetrics(self.registry)
        self.calls = CallMetrics(self.registry)
        self.versions = VersionMetrics(self.registry)
        self.experience = ExperienceMetrics(self.registry)
        self.shadows = ShadowMetrics(self.registry)
        self.canaries = CanaryMetrics(self.registry)
        self._expiry = ExpiryMetric(certificate, self.registry) if certificate is not None else None

    async def run(self) -> None:
        """Flushes for ever: once per second while there are calls, else every `IDLE_SECONDS`."""
        doze = Doze()
        self.rpc.noticed = self.calls.noticed = doze.wake
        while True:
            doze.begin()
            self.rpc.flush()
            self.calls.flush()
            if self._expiry is not None:
                self._expiry.look()
            if await doze.sleep(IDLE_SECONDS):
                await asyncio.sleep(FLUSH_SECONDS)
