"""How each policy's canary goes."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Gauge

from policy_api.v1 import traffic_pb2 as pb
from policyd_server.models.follower import Follower


class CanaryMetrics:
    """Shows the state of canaries. All workers show the same, from the repository."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *more: str) -> Gauge:
            labels = ("policy", *more)
            return Gauge(
                f"policyd_canary_{name}", text, labels, registry=registry, multiprocess_mode="mostrecent"
            )

        self._state = gauge("state", "1 runs, 2 promoted, 3 rolled back, 4 cannot tell, 5 cancelled.")
        self._version = gauge("version", "The version that is or was the canary.")
        self._share = gauge("share", "Its share of the traffic; 0: none runs.")
        self._ended = gauge("end_timestamp_seconds", "When the canary ended; 0: it runs.")
        self._episodes = gauge("episodes", "Episodes that were compared, by role.", "role")
        self._return = gauge("return", "Their mean return, by role.", "role")
        self._difference = gauge(
            "difference", "Canary minus champion: mean and interval; NaN: none yet.", "bound"
        )

    def changed(self, follower: Follower) -> None:
        """Reads the canaries after each refresh. A policy that never had one has no figures."""
        for policy, state in follower.traffic.items():
            if state.canary.state != pb.Canary.STATE_UNSPECIFIED:
                self._show(policy, state.canary)

    def _show(self, policy: str, canary: pb.Canary) -> None:
        self._state.labels(policy).set(canary.state)
        self._version.labels(policy).set(canary.version)
        self._share.labels(policy).set(canary.share)
        ended = canary.end_time.ToNanoseconds() / 1e9 if canary.HasField("end_time") else 0.0
        self._ended.labels(policy).set(ended)
        for role, arm in (("champion", canary.champion), ("canary", canary.challenger)):
            self._episodes.labels(policy, role).set(arm.reported)
            self._return.labels(policy, role).set(arm.mean_return)
        last = canary.points[-1] if canary.points else pb.CanaryPoint()
        told = {"mean": last.difference, "low": last.low, "high": last.high}
        for bound, value in told.items():  # NaN replaces the figure of an earlier canary
            self._difference.labels(policy, bound).set(value if last.HasField("low") else math.nan)
