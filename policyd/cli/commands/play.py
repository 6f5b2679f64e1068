"""`policyctl play`: plays episodes with the environment here and the policy on the server."""

from __future__ import annotations

import click

from policy_api.v1 import policy_pb2
from policyd.cli import episodes as playing
from policyd.cli import reporting
from policyd.cli.session import Session, json_flag, pass_session, policy_option, version_options
from policyd.counted import counted
from policyd.errors import InvalidArgument, NotFound


@click.command()
@policy_option
@version_options
@click.option(
    "--env",
    "env_id",
    help="Environment: EnvId or module:EnvId.  [default: the one that the version was trained on]",
)
@click.option(
    "--episodes", type=click.IntRange(min=1), default=20, show_default=True, help="How many episodes to play."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    default=0,
    show_default=True,
    help="Seed of the first episode and of the sampling.",
)
@click.option(
    "--deterministic/--sample",
    default=True,
    show_default=True,
    help="Take the most probable action, or draw one from the probabilities.",
)
@click.option(
    "--report",
    is_flag=True,
    help="Report what comes of each action, so that the policy learns from it. Implies --sample.",
)
@json_flag
@pass_session
def play(  # noqa: PLR0913, PLR0917 -- one argument an option
    session: Session,
    policy: str,
    version: int | None,
    alias: str | None,
    env_id: str | None,
    episodes: int,
    seed: int,
    deterministic: bool,
    report: bool,
) -> None:
    """Play episodes here with the policy on the server.

    One version chooses all actions. Needs gymnasium on this machine.
    """
    with session.client() as client:
        chosen = published(client.get_policy(policy), version, alias)
        plan = playing.EpisodePlan(
            env_id=env_id or chosen.metadata.env_id,
            policy=policy,
            version=chosen.version,
            spaces=chosen.metadata,
            episodes=episodes,
            seed=seed,
            deterministic=deterministic and not report,
        )
        stats = playing.play(client, plan) if not report else reporting.play(client, plan)
    document: dict[str, object] = {
        "mean_return": stats.mean,
        "std_return": stats.std,
        "episodes": episodes,
        "version": stats.version,
    }
    if report:
        document["reported"] = True
    text = (
        f"{counted(episodes, 'episodes')} of {plan.env_id} with version {stats.version}: mean "
        f"return {stats.mean:.1f} "
        f"±{stats.std:.1f}, lowest {min(stats.returns):.1f}, highest {max(stats.returns):.1f}"
    )
    session.show(document, text)


def published(policy: policy_pb2.Policy, version: int | None, alias: str | None) -> policy_pb2.PolicyVersion:
    """Returns the version that was asked for, or the one that the alias serves now."""
    if version is not None and alias is not None:
        raise InvalidArgument.of("--version", got="--version and --alias", wanted="at most one of the two")
    if version is None:
        name = alias or "champion"
        version = next((a.serving_version for a in policy.aliases if a.name == name), 0)
        if version == 0:
            known = ", ".join(a.name for a in policy.aliases) or "none"
            raise NotFound(f"the alias {name} of {policy.name} points to no version; aliases: {known}")
    for candidate in policy.versions:
        if candidate.version == version:
            return candidate
    raise NotFound(f"{policy.name} has no version {version}")
