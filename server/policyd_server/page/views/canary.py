"""Canaries: which version has how much of an alias's traffic, and what the evidence says so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy_api.v1.traffic_pb2 import Canary, CanaryArm, Traffic, TrafficChange, TrafficShare
from policyd_server.page.views import words
from policyd_server.page.views.versions import Fact


@dataclass(frozen=True)
class CanaryView:
    """The shares of every alias, and the last canary."""

    generation: int
    shares: tuple[Fact, ...]  # by alias
    state: str  # of the canary, in lower case; empty: there was none
    runs: bool
    headline: str
    reason: str
    facts: tuple[Fact, ...]
    history: tuple[Fact, ...]  # who changed shares, when and why, the newest first


def view(traffic: Traffic) -> CanaryView:
    """Returns the view of a policy's traffic."""
    canary = traffic.canary
    there = canary.state != Canary.STATE_UNSPECIFIED
    return CanaryView(
        generation=traffic.generation,
        shares=tuple(Fact(each.alias, _shares(each.shares)) for each in traffic.aliases),
        state=Canary.State.Name(canary.state).lower().replace("_", " ") if there else "",
        runs=canary.state == Canary.RUNNING,
        headline=f"Version {canary.version} against version {canary.base_version} for {canary.alias}",
        reason=canary.reason,
        facts=_facts(canary) if there else (),
        history=tuple(
            Fact(
                words.moment(change.change_time),
                f"{change.alias}: {_changed(change)}, by {change.actor or 'nobody named'}:"
                f" {change.reason or 'no reason'}",
            )
            for change in reversed(traffic.history)
        ),
    )


def _changed(change: TrafficChange) -> str:
    """Returns one change as text: the new shares, or the new shadow."""
    if not change.HasField("shadow"):
        return _shares(change.shares)
    if not change.shadow.share:
        return f"version {change.shadow.version} is its shadow no more"
    return f"version {change.shadow.version} is its shadow for {100 * change.shadow.share:.3g}%"


def _shares(shares: Sequence[TrafficShare]) -> str:
    told = ", ".join(f"version {share.version}: {100 * share.share:.3g}%" for share in shares)
    return told or "its own version answers everything"


def _facts(canary: Canary) -> tuple[Fact, ...]:
    return (
        Fact("Share now", f"{100 * canary.share:.3g}% of at most {100 * canary.config.up_to:.3g}%"),
        Fact("Began", f"{words.moment(canary.start_time)} by {canary.actor or 'nobody named'}"),
        Fact("Why", canary.actor_reason or "no reason"),
        Fact(f"Version {canary.version}", _arm(canary.challenger)),
        Fact(f"Version {canary.base_version}", _arm(canary.champion)),
    )


def _arm(arm: CanaryArm) -> str:
    if not arm.episodes:
        return "no episode yet"
    mean = f"mean return {words.number(arm.mean_return)} ± {words.number(arm.std_return)}"
    return f"{mean}, {words.count(arm.episodes, 'episode')}, {arm.reported:,} of them reported"
