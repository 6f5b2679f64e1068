"""`policyctl experience`: what a policy records of its clients' episodes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from google.protobuf.duration_pb2 import Duration

from policy_api.v1 import experience_pb2 as pb
from policyd.cli.durations import DURATION
from policyd.cli.message_json import as_json
from policyd.cli.session import Session, columns, json_flag, pass_session, policy_option, whoami
from policyd.counted import counted
from policyd.runtime.commands import WholeSummaries

_MODES = click.Choice(["off", "record", "learn"])


@click.group(cls=WholeSummaries)
def experience() -> None:
    """Show, set up, export and delete what a policy records of its clients' episodes."""


@experience.command()
@policy_option
@json_flag
@pass_session
def status(session: Session, policy: str) -> None:
    """Show the configuration, the open episodes, and counts by version and by caller."""
    with session.client() as client:
        found = client.get_experience(policy)
    session.show(as_json(found), _status(found))


@experience.command("set")
@policy_option
@click.option("--mode", type=_MODES, help="Record named decisions, and let a job learn from them.")
@click.option("--reward-low", type=float, help="The smallest reward that is accepted.")
@click.option("--reward-high", type=float, help="The largest reward that is accepted.")
@click.option("--silence", type=DURATION, help="An episode that is silent for so long is cut, e.g. 10m.")
@click.option("--retention", type=DURATION, help="Episodes older than this are deleted, e.g. 720h.")
@click.option("--max-caller-share", type=float, help="Largest share of a batch that one caller may have.")
@click.option("--max-subject-share", type=float, help="Largest share of a batch that one subject may have.")
@click.option("--max-version-lag", type=int, help="Changes of the champion that make an episode too old.")
@click.option(
    "--keep-observations/--forget-observations",
    default=None,
    help="Whether observations stay after a job has learned from them.",
)
@click.option("--reason", default="", help="Why, for the history.")
@click.option("--actor", default=whoami, help="Who, for the history.  [default: user@host]")
@json_flag
@pass_session
def set_config(session: Session, /, policy: str, reason: str, actor: str, **given: Any) -> None:
    """Change what is recorded. What is not given stays as it is."""
    with session.client() as client:
        before = client.get_experience(policy)
        config = _changed(before.config, given)
        found = client.set_experience_config(
            policy, config, actor=actor, reason=reason, expected_generation=before.generation
        )
    mode = pb.ExperienceConfig.Mode.Name(found.config.mode)
    session.show(as_json(found), f"generation {found.generation}: {mode}")


@experience.command()
@policy_option
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["minari", "parquet"]),
    help="The file's format.  [default: parquet for FILE.parquet, else minari]",
)
@click.option("--version", type=click.IntRange(min=1), help="Only episodes by this version.")
@json_flag
@pass_session
def export(session: Session, policy: str, file: Path, kind: str | None, version: int | None) -> None:
    """Write the sealed episodes into FILE.

    The file is a Minari data set in a tar archive, or a Parquet table with one row per step.
    """
    kind = kind or ("parquet" if file.suffix == ".parquet" else "minari")
    partial = file.with_name(file.name + ".partial")
    with session.client() as client, partial.open("wb") as out:
        try:
            for piece in client.export_episodes(policy, format=kind, version=version or 0):
                out.write(piece)
        except BaseException:
            partial.unlink()
            raise
    partial.replace(file)
    size = file.stat().st_size
    session.show({"file": str(file), "format": kind, "bytes": size}, f"wrote {file}: {size / 1e6:.1f} MB")


@experience.command()
@policy_option
@click.option("--episode", "episode_ids", multiple=True, help="An episode's id; may be given several times.")
@click.option("--subject", default="", help="Everything that is about this subject.")
@click.option("--older-than", type=DURATION, help="Everything that ended longer ago, e.g. 720h.")
@click.option("--reason", default="", help="Why, for the audit log.")
@json_flag
@pass_session
def delete(
    session: Session,
    policy: str,
    episode_ids: tuple[str, ...],
    subject: str,
    older_than: float | None,
    reason: str,
) -> None:
    """Delete episodes by id, subject or age. No file of the server holds them afterwards."""
    if sum((bool(episode_ids), bool(subject), older_than is not None)) != 1:
        raise click.UsageError("give exactly one of --episode, --subject and --older-than")
    before = None if older_than is None else datetime.now(UTC) - timedelta(seconds=older_than)
    with session.client() as client:
        count = client.delete_episodes(
            policy, episode_ids=episode_ids, subject=subject, before=before, reason=reason
        )
    session.show({"episodes": count}, f"deleted {counted(count, 'episodes')}")


def _changed(config: pb.ExperienceConfig, given: dict[str, Any]) -> pb.ExperienceConfig:
    """Returns the configuration with the options of the command line applied."""
    changed = pb.ExperienceConfig()
    changed.CopyFrom(config)
    for name, value in given.items():
        if value is None:
            continue
        if name == "mode":
            changed.mode = pb.ExperienceConfig.Mode.Value(value.upper())
        elif name in ("silence", "retention"):
            getattr(changed, name).CopyFrom(Duration(seconds=int(value)))
        else:
            setattr(changed, name, value)
    return changed


def _lengths(counts: Sequence[int]) -> str:
    """Returns the counts of episodes by length; `4-7: 12` means 12 episodes of 4 to 7 steps."""
    return "  ".join(f"{2**i}-{2 ** (i + 1) - 1}: {count}" for i, count in enumerate(counts) if count)


def _status(found: pb.GetExperienceResponse) -> str:
    mode = pb.ExperienceConfig.Mode.Name(found.config.mode)
    opened = f"{counted(found.open_episodes, 'open episodes')} with {counted(found.open_steps, 'steps')}"
    disk = f"{found.disk_bytes / 1e6:.1f} MB on disk"
    lines = [
        f"mode {mode}, generation {found.generation}",
        f"{opened}; {found.late_outcomes} outcomes came too late; {disk}",
        (
            f"jobs learned from {counted(found.used_episodes, 'episodes')} with "
            f"{counted(found.used_steps, 'steps')}"
        ),
    ]
    if found.dropped:
        dropped = [(d.reason, d.episodes, d.steps, _lengths(d.lengths)) for d in found.dropped]
        lines += ["", columns(("DROPPED", "EPISODES", "STEPS", "BY LENGTH"), dropped)]
    for title, counts in (("VERSION", found.by_version), ("CALLER", found.by_caller)):
        if counts:
            entries = [
                (c.key or "-", c.decisions, c.outcomes, c.sealed_episodes, f"{c.mean_return:.2f}")
                for c in counts
            ]
            lines += ["", columns((title, "DECISIONS", "OUTCOMES", "EPISODES", "MEAN RETURN"), entries)]
    return "\n".join(lines)
