"""`policyctl policies`, `versions`, `info`, `promote` and `rollback`.

What a server has and serves.
"""

from __future__ import annotations

import click

from policy_api.v1 import artifact_pb2, policy_pb2
from policyd.cli.message_json import as_json
from policyd.cli.session import Session, change_options, columns, json_flag, pass_session, policy_option
from policyd.cli.times import moment


@click.command()
@json_flag
@pass_session
def policies(session: Session) -> None:
    """List the policies with their aliases and newest version."""
    with session.client() as client:
        found = client.list_policies()
    entries = [
        (p.name, _aliases(p), len(p.versions), p.versions[-1].version if p.versions else "-") for p in found
    ]
    text = columns(("POLICY", "ALIASES", "VERSIONS", "NEWEST"), entries) if entries else "no policies yet"
    text = "\n".join([text, *(line for policy in found for line in _damage(policy))])
    session.show({"policies": [as_json(policy) for policy in found]}, text)


@click.command()
@policy_option
@json_flag
@pass_session
def versions(session: Session, policy: str) -> None:
    """List one policy's versions with their returns, and the history of its aliases."""
    with session.client() as client:
        found = client.get_policy(policy)
    session.show(as_json(found), "\n".join([_versions(found), *history(found), *_damage(found)]))


@click.command()
@json_flag
@pass_session
def info(session: Session) -> None:
    """Tell the server's version and its largest batch."""
    with session.client() as client:
        found = client.get_server_info()
    text = f"{session.server} runs policyd {found.version}, at most {found.max_batch_rows} rows per request"
    session.show(as_json(found), text)


@click.command()
@click.argument("version", type=click.IntRange(min=1))
@policy_option
@change_options
@json_flag
@pass_session
def promote(
    session: Session,
    version: int,
    policy: str,
    alias: str,
    reason: str,
    actor: str,
    expected_generation: int | None,
) -> None:
    """Point an alias at VERSION.

    The server loads and verifies the version before the alias moves.
    """
    with session.client() as client:
        response = client.set_alias(
            policy, version, alias=alias, actor=actor, reason=reason, expected_generation=expected_generation
        )
    moved = response.alias
    session.show(
        as_json(response), f"{moved.name} is version {moved.version} (generation {response.generation})"
    )


@click.command()
@policy_option
@change_options
@json_flag
@pass_session
def rollback(
    session: Session, policy: str, alias: str, reason: str, actor: str, expected_generation: int | None
) -> None:
    """Point an alias back at the version that it pointed to before.

    Rolling back twice goes back two steps. This needs no trainer.
    """
    with session.client() as client:
        response = client.rollback_alias(
            policy, alias=alias, actor=actor, reason=reason, expected_generation=expected_generation
        )
    moved = response.alias
    session.show(
        as_json(response), f"{moved.name} is version {moved.version} again (generation {response.generation})"
    )


def _damage(policy: policy_pb2.Policy) -> list[str]:
    """Returns one line for each part of the policy that cannot be read."""
    lines = [f"{policy.name} is damaged: {line}" for line in policy.damage]
    lines += [
        f"{policy.name} version {v.version} is damaged: {v.damage}" for v in policy.versions if v.damage
    ]
    return lines


def _aliases(policy: policy_pb2.Policy) -> str:
    return ", ".join(f"{a.name}={_version(a)}" for a in policy.aliases) or "-"


def _version(alias: policy_pb2.Alias) -> str:
    if alias.serving_version == alias.version:
        return str(alias.version)
    return f"{alias.version} (serving {alias.serving_version or 'nothing'})"


def _versions(policy: policy_pb2.Policy) -> str:
    names = {v.version: [a.name for a in policy.aliases if a.version == v.version] for v in policy.versions}
    entries = [
        (
            v.version,
            ",".join(names[v.version]) or "-",
            v.metadata.algorithm,
            v.metadata.env_id,
            _returns(v.metadata.evaluation.greedy),
            _returns(v.metadata.evaluation.sampled),
            moment(v.create_time),
            v.digest[:12],
        )
        for v in policy.versions
    ]
    header = ("VERSION", "ALIAS", "ALGORITHM", "ENV", "GREEDY", "SAMPLED", "CREATED", "DIGEST")
    return f"{policy.name}, generation {policy.generation}\n" + columns(header, entries)


def _returns(figures: artifact_pb2.ReturnFigures) -> str:
    return f"{figures.mean:.1f} ±{figures.std:.1f}" if figures.episodes else "-"


def history(policy: policy_pb2.Policy) -> list[str]:
    """Who moved the aliases, when and why, as lines of text; the first is empty."""
    lines = []
    for alias in policy.aliases:
        for change in alias.history:
            kind = "rolled back" if change.kind == policy_pb2.AliasChange.KIND_ROLLBACK else "set"
            who = f" by {change.actor}" if change.actor else ""
            why = f": {change.reason}" if change.reason else ""
            when = moment(change.change_time)
            lines.append(f"{when}  {alias.name} {kind} to {change.version}{who}{why}")
    return ["", *sorted(lines)] if lines else []
