"""`policyctl policies` and `policyctl versions`: what the server has."""

from __future__ import annotations

import click

from policy_api.v1 import artifact_pb2, policy_pb2
from policyctl.plain import plain
from policyctl.session import Session, columns, json_flag, pass_session, policy_option


@click.command()
@json_flag
@pass_session
def policies(session: Session) -> None:
    """List the policies, what their aliases name, and their newest version."""
    with session.client() as client:
        found = client.list_policies()
    rows = [
        (p.name, _aliases(p), len(p.versions), p.versions[-1].version if p.versions else "-") for p in found
    ]
    text = columns(("POLICY", "ALIASES", "VERSIONS", "NEWEST"), rows) if rows else "no policies yet"
    session.show({"policies": [plain(policy) for policy in found]}, text)


@click.command()
@policy_option
@json_flag
@pass_session
def versions(session: Session, policy: str) -> None:
    """List one policy's versions with their figures, and its aliases' history."""
    with session.client() as client:
        found = client.get_policy(policy)
    session.show(plain(found), "\n".join([_versions(found), *_history(found)]))


def _aliases(policy: policy_pb2.Policy) -> str:
    return ", ".join(f"{a.name}={_version(a)}" for a in policy.aliases) or "-"


def _version(alias: policy_pb2.Alias) -> str:
    if alias.serving_version == alias.version:
        return str(alias.version)
    return f"{alias.version} (serving {alias.serving_version or 'nothing'})"


def _versions(policy: policy_pb2.Policy) -> str:
    names = {v.version: [a.name for a in policy.aliases if a.version == v.version] for v in policy.versions}
    rows = [
        (
            v.version,
            ",".join(names[v.version]) or "-",
            v.metadata.algorithm,
            v.metadata.env_id,
            _returns(v.metadata.evaluation.greedy),
            _returns(v.metadata.evaluation.sampled),
            v.create_time.ToJsonString()[:19],
            v.digest[:12],
        )
        for v in policy.versions
    ]
    header = ("VERSION", "ALIAS", "ALGORITHM", "ENV", "GREEDY", "SAMPLED", "CREATED", "DIGEST")
    return f"{policy.name}, generation {policy.generation}\n" + columns(header, rows)


def _returns(figures: artifact_pb2.ReturnFigures) -> str:
    return f"{figures.mean:.1f} ±{figures.std:.1f}" if figures.episodes else "-"


def _history(policy: policy_pb2.Policy) -> list[str]:
    lines = []
    for alias in policy.aliases:
        for change in alias.history:
            kind = policy_pb2.AliasChange.Kind.Name(change.kind).removeprefix("KIND_").lower()
            when = change.change_time.ToJsonString()[:19]
            why = f": {change.reason}" if change.reason else ""
            lines.append(f"{when}  {alias.name} {kind} to {change.version} by {change.actor or '?'}{why}")
    return ["", *sorted(lines)] if lines else []
