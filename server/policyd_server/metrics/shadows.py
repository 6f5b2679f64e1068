"""How shadows compare with the versions that answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge

from policy_api.v1 import traffic_pb2 as pb
from policyd.errors import PolicydError
from policyd_server.shadow.feed import ShadowFeed
from policyd_server.shadow.wire import Target

#: Seconds between two looks while there is no shadow.
IDLE_SECONDS = 10.0
#: Seconds between two readings.
LOOK_SECONDS = 2.0
_FIGURES: dict[str, tuple[str, Callable[[pb.Comparison], float]]] = {
    "rows": ("Observations that the shadow and the version that answered computed.", lambda c: c.rows),
    "failures": ("Requests for which the shadow computed nothing usable.", lambda c: c.failures),
    "dropped": ("Requests that were left out because the shadow was too slow.", lambda c: c.dropped),
    "agreement": ("Share of rows with the same most probable action.", lambda c: c.agreement),
    "divergence_nats": ("Mean divergence from the version that answered.", lambda c: c.divergence),
    "value_difference": ("Mean absolute difference of the values.", lambda c: c.value_difference),
}
_VERSION_FIGURES: dict[str, tuple[str, Callable[[pb.ComparedVersion], float]]] = {
    "entropy_nats": ("Mean entropy, by role: base answers, shadow does not.", lambda v: v.entropy),
    "value": ("Mean value, by role.", lambda v: v.value),
    "latency_seconds": (
        "Mean time of an inference call beside the hot path, by role.",
        lambda v: v.mean_latency,
    ),
    "p99_latency_seconds": ("The 99th percentile of that time, by role.", lambda v: v.p99_latency),
}
_LABELS = ("policy", "alias", "base_version", "version")
_LOG = logging.getLogger(__name__)


class ShadowMetrics:
    """Shows the figures of the shadow process, which sums over all workers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *more: str) -> Gauge:
            return Gauge(
                f"policyd_shadow_{name}",
                text,
                (*_LABELS, *more),
                registry=registry,
                multiprocess_mode="mostrecent",
            )

        self._figures = {name: gauge(name, text) for name, (text, _) in _FIGURES.items()}
        self._by_role = {name: gauge(name, text, "role") for name, (text, _) in _VERSION_FIGURES.items()}
        self._share = gauge("share", "Share of the requests that a shadow computes; 0: it has ended.")
        self._shown: set[Target] = set()

    async def run(self, feed: ShadowFeed) -> None:
        """Updates the figures for ever. Without shadows, it does not start the shadow process."""
        while True:
            active = {target for shadows in feed.targets.values() for _, target in shadows}
            for policy in sorted({target.policy for target in active | self._shown}):
                try:
                    found = await feed.ask(policy)
                except PolicydError as error:
                    _LOG.warning("the shadows of %s cannot be measured: %s", policy, error.message)
                    continue
                for comparison in found.comparisons:
                    self._show(comparison, feed)
            await asyncio.sleep(LOOK_SECONDS if active or self._shown else IDLE_SECONDS)

    def _show(self, found: pb.Comparison, feed: ShadowFeed) -> None:
        start = found.start_time.ToNanoseconds()
        target = Target(found.policy, found.alias, found.base_version, found.version, start)
        share = feed.shares(found.policy).get(target, 0.0)
        if share == 0 and target not in self._shown:
            return  # it had ended before this process began
        labels = (found.policy, found.alias, str(found.base_version), str(found.version))
        self._share.labels(*labels).set(share)
        for name, (_, figure) in _FIGURES.items():
            self._figures[name].labels(*labels).set(figure(found))
        for role, told in (("base", found.base), ("shadow", found.shadow)):
            for name, (_, of_version) in _VERSION_FIGURES.items():
                self._by_role[name].labels(*labels, role).set(of_version(told))
        (self._shown.add if share else self._shown.discard)(target)
