"""`policyctl canary`: a new version proves itself on a small share of the traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from google.protobuf.duration_pb2 import Duration

from policy_api.v1 import traffic_pb2
from policyd.cli.durations import DURATION
from policyd.cli.message_json import as_json
from policyd.cli.session import Session, columns, json_flag, pass_session, policy_option, whoami
from policyd.cli.shares import FRACTION
from policyd.cli.times import moment
from policyd.runtime.commands import WholeSummaries

_reason = click.option("--reason", default="", help="Why; recorded in the history.")
_actor = click.option("--actor", default=whoami, help="Who; recorded in the history.  [default: user@host]")


@click.group(cls=WholeSummaries)
def canary() -> None:
    """Let a version prove itself on a small share of the traffic."""


@canary.command()
@click.argument("version", type=click.IntRange(min=1))
@policy_option
@click.option("--alias", default="champion", show_default=True, help="The alias whose traffic is shared.")
@click.option("--share", type=FRACTION, default="5%", show_default=True, help="Share at the beginning.")
@click.option("--up-to", type=FRACTION, default="50%", show_default=True, help="The largest share.")
@click.option(
    "--step-episodes",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Episodes before the share doubles.",
)
@click.option(
    "--patience",
    type=DURATION,
    default="24h",
    show_default=True,
    help="Time without a verdict that ends it.",
)
@click.option(
    "--outcome-timeout",
    type=DURATION,
    default="10m",
    show_default=True,
    help="Time without outcomes that ends it.",
)
@click.option(
    "--max-latency",
    type=DURATION,
    help="Longest inference call, e.g. 0.005s. Default: no bound.",
)
@_reason
@_actor
@json_flag
@pass_session
def start(
    session: Session, /, version: int, policy: str, alias: str, reason: str, actor: str, **rules: Any
) -> None:
    """Give VERSION a share of the alias's traffic, which rises while its returns are not worse."""
    with session.client() as client:
        found = client.start_canary(
            policy, version, _config(**rules), alias=alias, actor=actor, reason=reason
        )
    session.show(as_json(found), described(found))


def _config(
    *,
    share: float,
    up_to: float,
    step_episodes: int,
    patience: float,
    outcome_timeout: float,
    max_latency: float | None,
) -> traffic_pb2.CanaryConfig:
    return traffic_pb2.CanaryConfig(
        share=share,
        up_to=max(share, up_to),
        step_episodes=step_episodes,
        patience=_duration(patience),
        outcome_timeout=_duration(outcome_timeout),
        max_latency=None if max_latency is None else _duration(max_latency),
    )


@canary.command()
@policy_option
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the intervals into this PNG file.")
@json_flag
@pass_session
def status(session: Session, policy: str, picture: Path | None) -> None:
    """Show the last canary: its state, its share, the evidence and the reason."""
    with session.client() as client:
        found = client.get_traffic(policy)
    if picture is not None:
        from policyd.cli.canary_chart import draw_canary  # noqa: PLC0415 -- matplotlib, only for pictures

        draw_canary(found.canary, picture)
    session.show(as_json(found.canary), described(found))


@canary.command()
@policy_option
@_reason
@_actor
@json_flag
@pass_session
def cancel(session: Session, policy: str, reason: str, actor: str) -> None:
    """Take the share back at once."""
    with session.client() as client:
        found = client.cancel_canary(policy, actor=actor, reason=reason)
    session.show(as_json(found.canary), described(found))


def described(found: traffic_pb2.Traffic) -> str:
    """The canary as text."""
    last = found.canary
    if last.state == traffic_pb2.Canary.STATE_UNSPECIFIED:
        return f"{found.policy} never had a canary"
    state = traffic_pb2.Canary.State.Name(last.state)
    lines = [
        f"{found.policy} version {last.version} beside {last.base_version} of {last.alias}: {state}",
        f"share {last.share:.3g}; {last.reason}",
        f"began {moment(last.start_time)} by {last.actor}",
        "",
    ]
    entries = [
        (name, arm.episodes, arm.reported, f"{arm.mean_return:.4g}", f"{arm.std_return:.4g}")
        for name, arm in ((last.base_version, last.champion), (last.version, last.challenger))
    ]
    lines.append(columns(("VERSION", "EPISODES", "WITH OUTCOMES", "MEAN RETURN", "STD"), entries))
    if last.points and last.points[-1].HasField("low"):
        point = last.points[-1]
        text = f"difference {point.difference:.4g}, between {point.low:.4g} and {point.high:.4g}"
        lines += ["", text + " (holds at every look together)"]
    return "\n".join(lines)


def _duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=round((seconds - whole) * 1e9))
