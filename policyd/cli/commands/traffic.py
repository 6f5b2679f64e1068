"""`policyctl traffic`: how much of an alias's traffic each version answers."""

from __future__ import annotations

import click

from policy_api.v1 import traffic_pb2
from policyd.cli.message_json import as_json
from policyd.cli.session import Session, change_options, columns, json_flag, pass_session, policy_option
from policyd.cli.shares import SHARE
from policyd.cli.times import moment
from policyd.runtime.commands import WholeSummaries


@click.group(cls=WholeSummaries)
def traffic() -> None:
    """Show and change how much of an alias's traffic each version answers."""


@traffic.command("show")
@policy_option
@json_flag
@pass_session
def show(session: Session, policy: str) -> None:
    """Show the shares of every alias, and who changed them."""
    with session.client() as client:
        found = client.get_traffic(policy)
    session.show(as_json(found), described(found))


@traffic.command("set")
@click.argument("shares", nargs=-1, type=SHARE, metavar="[VERSION=SHARE]...")
@policy_option
@change_options
@json_flag
@pass_session
def set_shares(
    session: Session,
    shares: tuple[traffic_pb2.TrafficShare, ...],
    policy: str,
    alias: str,
    reason: str,
    actor: str,
    expected_generation: int | None,
) -> None:
    """Give versions shares of an alias: `7=5%` or `7=0.05`.

    The rest stays with the alias's version. Without shares it answers everything again.
    """
    with session.client() as client:
        found = client.set_traffic(
            policy,
            shares,
            alias=alias,
            actor=actor,
            reason=reason,
            expected_generation=expected_generation,
        )
    session.show(as_json(found), described(found))


def described(found: traffic_pb2.Traffic) -> str:
    """The shares and the last changes as text."""
    lines = [f"{found.policy}, traffic generation {found.generation}"]
    for each in found.aliases:
        rest = 1 - sum(share.share for share in each.shares)
        shared = ", ".join(f"version {share.version} {share.share:.3g}" for share in each.shares)
        lines.append(f"{each.alias}: {shared}, its own version {max(0.0, rest):.3g}")
    if not found.aliases:
        lines.append("every alias is answered by its own version")
    lines.extend(
        f"{shadow.alias}: version {shadow.version} is a shadow, share {shadow.share:.3g}"
        for shadow in found.shadows
    )
    if found.history:
        entries = [
            (
                change.generation,
                change.alias,
                _changed(change),
                moment(change.change_time),
                change.actor,
                change.reason,
            )
            for change in found.history[-10:]
        ]
        lines += ["", columns(("GENERATION", "ALIAS", "SHARES", "WHEN", "WHO", "WHY"), entries)]
    return "\n".join(lines)


def _changed(change: traffic_pb2.TrafficChange) -> str:
    """Returns one change as text: the new shares, or the new shadow."""
    if change.HasField("shadow"):
        return f"shadow {change.shadow.version}={change.shadow.share:.3g}"
    return " ".join(f"{share.version}={share.share:.3g}" for share in change.shares) or "-"
