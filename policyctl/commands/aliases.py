"""`policyctl promote` and `policyctl rollback`: which version an alias names."""

from __future__ import annotations

import click

from policyctl.plain import plain
from policyctl.session import Session, change_options, json_flag, pass_session, policy_option


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
    """Point an alias at VERSION; it is loaded and verified before the alias moves."""
    with session.client() as client:
        answer = client.set_alias(
            policy, version, alias=alias, actor=actor, reason=reason, expected_generation=expected_generation
        )
    moved = answer.alias
    session.show(plain(answer), f"{moved.name} is version {moved.version} (generation {answer.generation})")


@click.command()
@policy_option
@change_options
@json_flag
@pass_session
def rollback(
    session: Session, policy: str, alias: str, reason: str, actor: str, expected_generation: int | None
) -> None:
    """Point an alias back at what it named before; twice goes back two steps. Needs no trainer."""
    with session.client() as client:
        answer = client.rollback_alias(
            policy, alias=alias, actor=actor, reason=reason, expected_generation=expected_generation
        )
    moved = answer.alias
    session.show(
        plain(answer), f"{moved.name} is version {moved.version} again (generation {answer.generation})"
    )
