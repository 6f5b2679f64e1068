"""`policyctl evaluate`: what a version would have returned, from episodes in which others acted."""

from __future__ import annotations

import click

from policy_api.v1 import traffic_pb2
from policyd.cli.message_json import as_json
from policyd.cli.session import Session, columns, json_flag, pass_session, policy_option
from policyd.counted import counted


@click.command()
@policy_option
@click.option("--version", type=click.IntRange(min=1), required=True, help="Number of a published version.")
@click.option("--from-experience", is_flag=True, required=True, help="From the episodes that are recorded.")
@click.option(
    "--episodes",
    type=click.IntRange(1, 20_000),
    default=2000,
    show_default=True,
    help="At most this many, the newest.",
)
@json_flag
@pass_session
def evaluate(session: Session, policy: str, version: int, from_experience: bool, episodes: int) -> None:  # noqa: ARG001 -- the flag only names the source of the evidence
    """Estimate a version's mean return from recorded episodes, and give a verdict."""
    with session.client() as client:
        found = client.evaluate_version(policy, version, max_episodes=episodes, timeout=320)
    session.show(as_json(found), described(found))


def described(found: traffic_pb2.EvaluateVersionResponse) -> str:
    """The verdict and the estimates as text."""
    verdict = traffic_pb2.EvaluateVersionResponse.Verdict.Name(found.verdict)
    lines = [
        f"{found.policy} version {found.version}: {verdict}",
        found.reason,
        f"{_used(found)}; {found.left_out} left out",
    ]
    if found.steps:
        entries = [
            (title, f"{interval.mean:.4g}", f"{interval.low:.4g}", f"{interval.high:.4g}")
            for title, interval in (
                ("return as recorded", found.logged_return),
                ("IPS", found.ips),
                ("self-normalised IPS", found.self_normalised_ips),
                ("doubly robust", found.doubly_robust),
                ("difference", found.difference),
                ("difference, at any look", found.sequence),
            )
        ]
        lines += ["", columns(("ESTIMATE", "MEAN", "LOW", "HIGH"), entries), ""]
        lines.append(
            f"effective episodes {found.effective_sample_size:.0f}, largest weight"
            f" {found.largest_weight_share:.1%}, mean weight {found.mean_weight:.3f}"
            f" ({found.mean_weight_deviations:+.1f} standard errors from 1)"
        )
    return "\n".join(lines)


def _used(found: traffic_pb2.EvaluateVersionResponse) -> str:
    """The episodes that were used. Where they are too few, their steps have not been counted."""
    steps = f" with {counted(found.steps, 'steps')}" if found.steps else ""
    return f"{counted(found.episodes, 'episodes')}{steps}"
