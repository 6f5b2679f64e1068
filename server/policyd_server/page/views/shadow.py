"""Shadows: how a version that computes beside another one compares with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy_api.v1.traffic_pb2 import ComparedVersion, Comparison
from policyd_server.page.views import words
from policyd_server.page.views.versions import Fact


@dataclass(frozen=True)
class ComparedEntry:
    """The figures of one of the two versions."""

    version: str
    role: str
    entropy: str
    value: str
    mean_latency: str
    high_latency: str


@dataclass(frozen=True)
class ShadowView:
    """One shadow, and the version that it is compared with."""

    alias: str
    headline: str
    runs: bool
    agreement: float | None  # fraction of the observations; None: nothing was compared so far
    facts: tuple[Fact, ...]
    entries: tuple[ComparedEntry, ...]
    problem: str  # why the last request failed; empty: it did not


def views(comparisons: Sequence[Comparison]) -> list[ShadowView]:
    """Returns a view of each comparison, in their order."""
    return [_view(each) for each in comparisons]


def _view(found: Comparison) -> ShadowView:
    failed = f"{words.count(found.failures, 'request')} failed, the last one so: {found.last_failure}"
    return ShadowView(
        alias=found.alias,
        headline=f"Version {found.version} beside version {found.base_version} for {found.alias}",
        runs=found.share > 0,
        agreement=found.agreement if found.rows else None,
        facts=_facts(found),
        entries=_entries(found) if found.rows else (),
        problem=failed if found.failures else "",
    )


def _facts(found: Comparison) -> tuple[Fact, ...]:
    share = f"{100 * found.share:.3g}% of its requests" if found.share else "none any more"
    facts = [
        Fact("Share", f"{share}, since {words.moment(found.start_time)}"),
        Fact(
            "Computed", f"{words.count(found.requests, 'request')}, {words.count(found.rows, 'observation')}"
        ),
        Fact("Failed", f"{found.failures:,}"),
        Fact("Left out", f"{found.dropped:,}, because the shadow was too slow"),
    ]
    if found.rows:
        largest = words.number(found.largest_divergence)
        facts.append(
            Fact("Divergence", f"{words.number(found.divergence)} nats in the mean, {largest} at most")
        )
    if found.HasField("value_difference"):
        facts.append(Fact("Values differ by", f"{words.number(found.value_difference)} in the mean"))
    return tuple(facts)


def _entries(found: Comparison) -> tuple[ComparedEntry, ...]:
    return (
        _entry(found.base_version, "answers", found.base),
        _entry(found.version, "shadow", found.shadow),
    )


def _entry(version: int, role: str, told: ComparedVersion) -> ComparedEntry:
    return ComparedEntry(
        version=f"Version {version}",
        role=role,
        entropy=f"{words.number(told.entropy)} nats",
        value=words.number(told.value) if told.HasField("value") else "no critic",
        mean_latency=words.milliseconds(told.mean_latency),
        high_latency=words.milliseconds(told.p99_latency),
    )
