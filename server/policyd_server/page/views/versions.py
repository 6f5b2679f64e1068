"""Versions: how good each is, what the gate said, and what differs from the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy_api.v1.gate_pb2 import GateConfig, GateVerdict
from policy_api.v1.policy_pb2 import Policy, PolicyVersion
from policyd.counted import counted
from policyd_server.page.charts.intervals import Interval, Mark
from policyd_server.page.views import words

OUTCOMES = {
    GateVerdict.OUTCOME_BETTER: "better",
    GateVerdict.OUTCOME_NOT_WORSE: "not worse",
    GateVerdict.OUTCOME_WORSE: "worse",
    GateVerdict.OUTCOME_CANNOT_TELL: "cannot tell",
    GateVerdict.OUTCOME_BELOW_FLOOR: "below the floor",
    GateVerdict.OUTCOME_FIRST_VERSION: "first version",
    GateVerdict.OUTCOME_ALWAYS: "not compared",
    GateVerdict.OUTCOME_NOT_COMPARABLE: "not comparable",
}


@dataclass(frozen=True)
class VersionEntry:
    """One version in the table."""

    number: int
    aliases: tuple[str, ...]
    made: str  # UTC
    greedy: str  # mean and interval
    gate: str  # in two words; empty: no promotion was asked for
    promoted: bool | None  # whether the gate allows it; None: the gate was not asked
    origin: str  # the version from which its training started
    damage: str


@dataclass(frozen=True)
class Fact:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True)
class Difference:
    """A setting or package that differs from the version before."""

    name: str
    before: str
    now: str


def entries(policy: Policy) -> list[VersionEntry]:
    """The versions, newest first."""
    named: dict[int, list[str]] = {}
    for alias in policy.aliases:
        named.setdefault(alias.version, []).append(alias.name)
    return [_entry(version, named.get(version.version, [])) for version in reversed(policy.versions)]


def _entry(version: PolicyVersion, aliases: Sequence[str]) -> VersionEntry:
    evaluation, judged = version.metadata.evaluation.greedy, version.HasField("verdict")
    figures = f"{words.number(evaluation.mean)} ({interval_words(evaluation.ci_low, evaluation.ci_high)})"
    return VersionEntry(
        number=version.version,
        aliases=tuple(aliases),
        made=words.moment(version.create_time),
        greedy=figures if evaluation.episodes else "",
        gate=OUTCOMES.get(version.verdict.outcome, "") if judged else "",
        promoted=version.verdict.promote if judged else None,
        origin=origin(version),
        damage=version.damage,
    )


def interval_words(low: float, high: float) -> str:
    """`480.1 to 500`."""
    return f"{words.number(low)} to {words.number(high)}"


def origin(version: PolicyVersion) -> str:
    """Returns the version from which this version's training started."""
    lineage = version.metadata.lineage
    return f"version {lineage.version}" if version.metadata.HasField("lineage") else "scratch"


def returns(policy: Policy, most: int = 12) -> list[Interval]:
    """Returns greedy and sampled returns of the newest versions, for the chart."""
    shown: list[Interval] = []
    for version in [each for each in policy.versions if not each.damage][-most:]:
        for number, name in enumerate(("greedy", "sampled")):
            figures = getattr(version.metadata.evaluation, name)
            if figures.episodes:
                label = f"version {version.version}, {name}"
                shown.append(
                    Interval(label, figures.mean, figures.ci_low, figures.ci_high, f"series-{number}")
                )
    return shown


def facts(version: PolicyVersion) -> list[Fact]:
    """Returns where a version comes from, and how closely its model agrees with the trainer's."""
    metadata = version.metadata
    training, parity = metadata.training, metadata.parity
    told = [
        Fact("Digest", version.digest),
        Fact("Made", words.moment(version.create_time)),
        Fact("Learned by", f"{metadata.algorithm} on {metadata.env_id}, seed {metadata.seed}"),
        Fact("Started from", origin(version)),
        Fact("Training job", version.job_id or "none: a run by hand or an import"),
        Fact("Code", metadata.git_commit or "not a checkout"),
    ]
    if training.env_steps:
        episodes, updates = counted(training.episodes, "episodes"), counted(training.updates, "updates")
        steps = f"{counted(training.env_steps, 'steps')} in {episodes}, {updates}"
        told.append(Fact("Training", f"{steps}, {words.lasting(training.seconds)} on {training.device}"))
    if parity.tolerance:
        checked = parity.random_observations + parity.visited_observations
        told.append(
            Fact(
                "Parity",
                f"largest difference {parity.max_abs_difference:.1e} over {checked:,} observations,"
                f" allowed {parity.tolerance:.0e} (ONNX Runtime {parity.onnxruntime_version})",
            )
        )
    for name in ("greedy", "sampled"):
        figures = getattr(metadata.evaluation, name)
        if figures.episodes:
            interval = interval_words(figures.ci_low, figures.ci_high)
            episodes = counted(figures.episodes, "episodes")
            told.append(
                Fact(
                    f"Return, {name}",
                    f"{words.number(figures.mean)} (95%: {interval}), {episodes} of"
                    f" {words.number(figures.mean_length)} steps",
                )
            )
    return told


def differences(version: PolicyVersion, before: PolicyVersion) -> list[Difference]:
    """Returns the settings, code, seed and packages that differ from the version before."""
    now, then = _described(version), _described(before)
    return [
        Difference(name, then.get(name, "none"), now.get(name, "none"))
        for name in sorted(now.keys() | then.keys())
        if now.get(name) != then.get(name)
    ]


def _described(version: PolicyVersion) -> dict[str, str]:
    metadata = version.metadata
    return {
        "environment": metadata.env_id,
        "algorithm": metadata.algorithm,
        "seed": str(metadata.seed),
        "code": metadata.git_commit[:12] or "not a checkout",
        "started from": origin(version),
        **{f"setting {name}": value for name, value in metadata.settings.items()},
        **{f"package {name}": value for name, value in metadata.packages.items()},
    }


def gate_picture(verdict: GateVerdict) -> tuple[list[Interval], list[Mark]] | None:
    """Returns the differences that the gate measured, and their marks. None: it measured none."""
    if not verdict.HasField("difference") or not verdict.episodes:
        return None
    entries = [("decided", verdict.difference, "decided")]
    entries.append(("greedy", verdict.greedy.difference, "series-0"))
    entries.append(("sampled", verdict.sampled.difference, "series-1"))
    marks = [Mark(0.0, "no difference", "zero")]
    if verdict.config.criterion == GateConfig.NOT_WORSE:
        marks.append(Mark(-verdict.config.margin, "accepted loss", "margin"))
    return [Interval(name, d.mean, d.low, d.high, kind) for name, d, kind in entries], marks
