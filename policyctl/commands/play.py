"""`policyctl play`: episodes with the environment here and the policy on the server."""

from __future__ import annotations

import click

from policy_api.errors import InvalidArgument, NotFound
from policy_api.v1 import policy_pb2
from policyctl import episodes as playing
from policyctl.session import Session, json_flag, pass_session, policy_option, version_options


@click.command()
@policy_option
@version_options
@click.option("--env", "env_id", help="EnvId or module:EnvId; default: what the version was trained on.")
@click.option("--episodes", type=click.IntRange(min=1), default=20, show_default=True)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    default=0,
    show_default=True,
    help="Of the first episode and of the sampling.",
)
@click.option(
    "--deterministic/--sample",
    default=True,
    show_default=True,
    help="The most probable action, or one drawn from the probabilities.",
)
@json_flag
@pass_session
def play(
    session: Session,
    policy: str,
    version: int | None,
    alias: str | None,
    env_id: str | None,
    episodes: int,
    seed: int,
    deterministic: bool,
) -> None:
    """Play episodes through the server; one version answers all of them."""
    with session.client() as client:
        chosen = published(client.get_policy(policy), version, alias)
        plan = playing.Play(
            env_id=env_id or chosen.metadata.env_id,
            policy=policy,
            version=chosen.version,
            spaces=chosen.metadata,
            episodes=episodes,
            seed=seed,
            deterministic=deterministic,
        )
        played = playing.play(client, plan)
    document = {
        "mean_return": played.mean,
        "std_return": played.std,
        "episodes": episodes,
        "version": played.version,
    }
    text = (
        f"{episodes} episodes of {plan.env_id} with version {played.version}: mean return {played.mean:.1f} "
        f"±{played.std:.1f}, lowest {min(played.returns):.1f}, highest {max(played.returns):.1f}"
    )
    session.show(document, text)


def published(policy: policy_pb2.Policy, version: int | None, alias: str | None) -> policy_pb2.PolicyVersion:
    """The version that answers now: the one asked for, or what the alias serves."""
    if version is not None and alias is not None:
        raise InvalidArgument.of("--version", got="--version and --alias", wanted="at most one of the two")
    if version is None:
        name = alias or "champion"
        version = next((a.serving_version for a in policy.aliases if a.name == name), 0)
        if version == 0:
            known = ", ".join(a.name for a in policy.aliases) or "none"
            raise NotFound(f"the alias {name} of {policy.name} names no version; aliases: {known}")
    for candidate in policy.versions:
        if candidate.version == version:
            return candidate
    raise NotFound(f"{policy.name} has no version {version}")
