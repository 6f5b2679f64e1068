"""Which version each alias serves, reloads, and loads that failed."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from server.models.follower import Follower


class VersionMetrics:
    """Told after every refresh of the follower."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._version = Gauge(
            "policyd_alias_version",
            "The version that an alias answers with.",
            ("policy", "alias"),
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._reloads = Counter("policyd_policy_reloads", "Swaps.", ("policy",), registry=registry)
        self._failures = Counter(
            "policyd_policy_load_failures", "Loads that failed.", ("policy",), registry=registry
        )
        self._serving: dict[tuple[str, str], int] = {}
        self._attempts: dict[tuple[str, str, int], int] = {}

    def changed(self, follower: Follower) -> None:
        """Reads what is served and what failed."""
        for policy in follower.policies:
            self._failures.labels(policy)  # from the start, at 0: an increase needs something before it
            self._reloads.labels(policy)
            for alias, loaded in follower.catalog.serving(policy).items():
                self._note_version(policy, alias, loaded.version)
        for (policy, alias), failure in follower.failures.items():
            key = (policy, alias, failure.version)
            before = self._attempts.get(key, 0)
            # Fewer than before: it had recovered in between.
            more = failure.attempts - before if failure.attempts >= before else failure.attempts
            self._failures.labels(policy).inc(more)
            self._attempts[key] = failure.attempts

    def _note_version(self, policy: str, alias: str, version: int) -> None:
        if self._serving.get((policy, alias)) == version:
            return
        self._serving[policy, alias] = version
        self._version.labels(policy, alias).set(version)
        self._reloads.labels(policy).inc()
