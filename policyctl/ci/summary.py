"""A Markdown summary of one retraining, for a pull request or a job's page."""

from __future__ import annotations

from policy_api.v1 import artifact_pb2, gate_pb2
from policy_api.v1.training_pb2 import TrainingJob
from policyctl.outcome import Outcome

_TITLES = {
    "promoted": "promoted",
    "published": "published, not promoted as asked",
    "queued": "queued",
    "gate_refused": "the gate keeps the champion",
    "cannot_tell": "the evidence does not tell which is better",
    "job_failed": "training failed",
    "job_cancelled": "training was cancelled",
    "timed_out": "still running when the time was over",
    "unreachable": "no server answered",
    "bad_request": "the request is wrong",
    "refused": "refused",
}


def summary(outcome: Outcome) -> str:
    """A heading, the reason in a line, and a table of the figures that there are."""
    policy = f" {outcome.job.spec.policy}" if outcome.job is not None else ""
    parts = [f"## Retraining{policy}: {_TITLES[outcome.word]}", _escaped(outcome.message)]
    if outcome.job is not None:
        parts.append(_table(_rows(outcome.job)))
        if outcome.job.failure.log_tail:
            parts.append("```\n" + "\n".join(outcome.job.failure.log_tail) + "\n```")
    return "\n\n".join(parts) + "\n"


def _rows(job: TrainingJob) -> list[tuple[str, str]]:
    spec, result, progress = job.spec, job.result, job.progress
    rows = [
        ("Environment", f"`{spec.env_id}`"),
        ("Algorithm", f"{spec.algorithm}, seed {spec.seed}"),
        (
            "Settings",
            ", ".join(f"`{name}={value}`" for name, value in sorted(spec.settings.items())) or "preset",
        ),
        ("Job", f"`{job.job_id}`, request `{job.request_id}`, attempts {job.attempts}"),
    ]
    if progress.env_steps:
        rows.append(("Environment steps", f"{progress.env_steps:,}"))
    if job.HasField("result"):
        rows.append(("Version", f"{result.version} (`{result.digest[:12]}`), `{result.version_path}`"))
        rows.append(("Return, greedy", _figures(result.evaluation.greedy)))
        rows.append(("Return, sampled", _figures(result.evaluation.sampled)))
        rows.append(("Promoted", "yes" if result.promoted else "no"))
    if result.HasField("verdict"):
        rows.extend(_gate(result.verdict))
    return rows


def _gate(verdict: gate_pb2.GateVerdict) -> list[tuple[str, str]]:
    name = (
        gate_pb2.GateVerdict.Outcome.Name(verdict.outcome).removeprefix("OUTCOME_").lower().replace("_", " ")
    )
    rows = [("Gate", name)]
    if verdict.HasField("difference"):
        found = verdict.difference
        interval = f"{found.mean:+.1f}, {found.coverage:.0%} interval {found.low:+.1f} to {found.high:+.1f}"
        rows.append(
            (
                f"Difference to version {verdict.champion_version}",
                f"{interval}, {verdict.episodes} paired episodes, {verdict.looks} looks",
            )
        )
    return rows


def _figures(figures: artifact_pb2.ReturnFigures) -> str:
    return (
        f"{figures.mean:.1f} ±{figures.std:.1f}, 95% interval of the mean {figures.ci_low:.1f} to "
        f"{figures.ci_high:.1f}, {figures.episodes} episodes"
    )


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_escaped(value)} |" for name, value in rows)])


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
