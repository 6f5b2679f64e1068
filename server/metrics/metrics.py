"""All metrics of one server process."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from policy_api.rpc_metrics import FLUSH_SECONDS, RpcMetrics
from server.metrics.calls import CallMetrics
from server.metrics.versions import VersionMetrics


class ServerMetrics:
    """Made where metrics are asked for; without, nothing is measured."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.rpc = RpcMetrics(self.registry)
        self.calls = CallMetrics(self.registry)
        self.versions = VersionMetrics(self.registry)

    async def run(self) -> None:
        """Flushes for ever."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.rpc.flush()
            self.calls.flush()
