"""Now: what each policy's aliases answer with, since when, by whom and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from policy_api.v1.policy_pb2 import Alias, AliasChange, Policy, PolicyVersion
from policyd_server.page.views import words
from policyd_server.page.views.traffic import Reading, Traffic, traffic

CHAMPION = "champion"


@dataclass(frozen=True)
class AliasRow:
    """One alias."""

    name: str
    version: int
    since: str  # in words
    at: str  # UTC
    actor: str
    reason: str
    was_rollback: bool
    problem: str  # why it does not serve `version`; empty: it does
    traffic: Traffic | None  # of the serving version; None: not measured


@dataclass(frozen=True)
class PolicyCard:
    """One policy."""

    name: str
    subject: str  # algorithm and environment
    newest: int
    versions: int
    aliases: tuple[AliasRow, ...]
    problems: tuple[str, ...]  # one line for each damaged part
    greedy_mean: float | None  # mean return of the champion's greedy evaluation


def cards(
    policies: Sequence[Policy], now: datetime, readings: tuple[Reading, Reading] | None
) -> list[PolicyCard]:
    """Returns one card per policy.

    `readings`: an earlier reading and the newest. None: nothing is measured.
    """
    return [_card(policy, now, readings) for policy in policies]


def _card(policy: Policy, now: datetime, readings: tuple[Reading, Reading] | None) -> PolicyCard:
    by_number = {version.version: version for version in policy.versions}
    numbers = {alias.name: alias.serving_version or alias.version for alias in policy.aliases}
    shown = by_number.get(numbers.get(CHAMPION, 0)) or (policy.versions[-1] if policy.versions else None)
    return PolicyCard(
        name=policy.name,
        subject=_subject(shown),
        newest=policy.versions[-1].version if policy.versions else 0,
        versions=len(policy.versions),
        aliases=tuple(_row(policy.name, alias, now, readings) for alias in policy.aliases),
        problems=problems(policy),
        greedy_mean=greedy_mean(shown) if CHAMPION in numbers else None,
    )


def problems(policy: Policy) -> tuple[str, ...]:
    """Returns one line for each damaged part of the policy."""
    damaged = (
        f"version {version.version}: {version.damage}" for version in policy.versions if version.damage
    )
    return (*policy.damage, *damaged)


def greedy_mean(version: PolicyVersion | None) -> float | None:
    """Returns the mean return of a version's greedy evaluation. None: it was never evaluated."""
    if version is None or not version.metadata.evaluation.greedy.episodes:
        return None
    return version.metadata.evaluation.greedy.mean


def _subject(version: PolicyVersion | None) -> str:
    if version is None or version.damage:
        return ""
    return f"{version.metadata.algorithm} on {version.metadata.env_id}"


def _row(policy: str, alias: Alias, now: datetime, readings: tuple[Reading, Reading] | None) -> AliasRow:
    change = alias.history[-1] if alias.history else AliasChange()
    serving = alias.serving_version or alias.version
    return AliasRow(
        name=alias.name,
        version=alias.version,
        since=words.since(change.change_time, now) if alias.history else "",
        at=words.moment(change.change_time),
        actor=change.actor,
        reason=change.reason,
        was_rollback=change.kind == AliasChange.KIND_ROLLBACK,
        problem=_problem(alias),
        traffic=None if readings is None else traffic(*readings, (policy, str(serving))),
    )


def _problem(alias: Alias) -> str:
    if alias.serving_version == alias.version:
        return ""
    wanted = f"the repository says version {alias.version}"
    if alias.serving_version:
        return f"still answers with version {alias.serving_version}; {wanted}"
    return f"answers with nothing; {wanted}"
