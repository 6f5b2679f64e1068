"""Which version each alias serves, reloads, and loads that failed."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from policyd_server.models.follower import Follower


class VersionMetrics:
    """Shows which version each alias serves, and loads that failed."""

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
        self._damaged = Gauge(
            "policyd_policy_damaged",
            "1: something of the policy in the repository cannot be read; what it served before goes on.",
            ("policy",),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._unreadable = Gauge(
            "policyd_repository_unreadable",
            "1: the repository cannot be read, or has no place for versions.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._damaged_policies: set[str] = set()
        self._serving: dict[tuple[str, str], int] = {}
        self._attempts: dict[tuple[str, str, int], int] = {}

    def changed(self, follower: Follower) -> None:
        """Reads what is served and what failed, after each refresh."""
        for policy in follower.policies:
            self._failures.labels(policy)  # at 0 from the start, because an increase needs an earlier value
            self._reloads.labels(policy)
            for alias, loaded in follower.loaded_versions.serving(policy).items():
                self._note_version(policy, alias, loaded.version)
        for policy, alias in self._serving.keys() - self._answering(follower):
            self._version.labels(policy, alias).set(0)
            self._serving.pop((policy, alias))
        for policy in self._damaged_policies | follower.troubles.damage.keys():
            self._damaged.labels(policy).set(policy in follower.troubles.damage)
        self._damaged_policies |= follower.troubles.damage.keys()
        self._unreadable.set(bool(follower.troubles.problem))
        for (policy, alias), failure in follower.troubles.failures.items():
            key = (policy, alias, failure.version)
            before = self._attempts.get(key, 0)
            # There are fewer failures than before, so the version has loaded in between.
            more = failure.attempts - before if failure.attempts >= before else failure.attempts
            self._failures.labels(policy).inc(more)
            self._attempts[key] = failure.attempts

    @staticmethod
    def _answering(follower: Follower) -> set[tuple[str, str]]:
        """Returns every (policy, alias) that answers."""
        return {
            (policy, alias)
            for policy in follower.policies
            for alias in follower.loaded_versions.serving(policy)
        }

    def _note_version(self, policy: str, alias: str, version: int) -> None:
        if self._serving.get((policy, alias)) == version:
            return
        self._serving[policy, alias] = version
        self._version.labels(policy, alias).set(version)
        self._reloads.labels(policy).inc()
