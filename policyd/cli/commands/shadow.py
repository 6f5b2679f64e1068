"""`policyctl shadow` and `compare`: a version computes beside the one that answers."""

from __future__ import annotations

import click

from policy_api.v1 import traffic_pb2
from policyd.cli.commands import traffic
from policyd.cli.message_json import as_json
from policyd.cli.session import Session, change_options, columns, json_flag, pass_session, policy_option
from policyd.cli.shares import FRACTION
from policyd.cli.times import moment
from policyd.counted import counted
from policyd.runtime.commands import WholeSummaries


@click.group(cls=WholeSummaries)
def shadow() -> None:
    """Let a version compute beside the one that answers, and never answer."""


@shadow.command()
@click.argument("version", type=click.IntRange(min=1))
@policy_option
@click.option("--share", type=FRACTION, default="10%", show_default=True, help="Share of its requests.")
@change_options
@json_flag
@pass_session
def start(
    session: Session,
    version: int,
    policy: str,
    share: float,
    alias: str,
    reason: str,
    actor: str,
    expected_generation: int | None,
) -> None:
    """Let VERSION compute a share of the requests that the alias's own version answers."""
    _set(session, policy, version, share, alias, actor, reason, expected_generation)


@shadow.command()
@policy_option
@change_options
@json_flag
@pass_session
def stop(
    session: Session, policy: str, alias: str, reason: str, actor: str, expected_generation: int | None
) -> None:
    """End the alias's shadow. Its figures stay until the server restarts."""
    _set(session, policy, 0, 0.0, alias, actor, reason, expected_generation)


def _set(
    session: Session,
    policy: str,
    version: int,
    share: float,
    alias: str,
    actor: str,
    reason: str,
    generation: int | None,
) -> None:
    with session.client() as client:
        found = client.set_shadow(
            policy,
            version,
            share,
            alias=alias,
            actor=actor,
            reason=reason,
            expected_generation=generation,
        )
    session.show(as_json(found), traffic.described(found))


@click.command()
@policy_option
@json_flag
@pass_session
def compare(session: Session, policy: str) -> None:
    """Compare a policy's shadows with the versions that answered.

    The newest comparison comes first.
    """
    with session.client() as client:
        found = client.compare_versions(policy)
    text = "\n\n".join(map(described, found)) or "no request has been computed yet"
    session.show([as_json(each) for each in found], text)


def described(found: traffic_pb2.Comparison) -> str:
    """One comparison as text."""
    share = f"share {found.share:.3g}" if found.share else "ended"
    lines = [
        f"{found.policy} version {found.version} beside {found.base_version} of {found.alias}: {share}",
        f"since {moment(found.start_time)}: {_computed(found)}",
        f"{found.failures} failed, {found.dropped} left out because the shadow was too slow",
    ]
    if found.last_failure:
        lines.append(f"last failure: {found.last_failure}")
    if not found.rows:
        return "\n".join(lines)
    entries = [
        (
            str(number),
            f"{told.entropy:.4g}",
            f"{told.value:.4g}" if told.HasField("value") else "-",
            _milliseconds(told.mean_latency),
            _milliseconds(told.p99_latency),
        )
        for number, told in ((found.base_version, found.base), (found.version, found.shadow))
    ]
    lines += [
        f"the same most probable action in {found.agreement:.2%} of the observations",
        f"divergence {found.divergence:.4g} nats in the mean, {found.largest_divergence:.4g} at most",
        "",
        columns(("VERSION", "ENTROPY", "VALUE", "MEAN LATENCY", "P99 LATENCY"), entries),
    ]
    if found.HasField("value_difference"):
        lines += ["", f"values differ by {found.value_difference:.4g} in the mean"]
    return "\n".join(lines)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def _computed(found: traffic_pb2.Comparison) -> str:
    return f"{counted(found.requests, 'requests')}, {counted(found.rows, 'observations')}"
