"""The files that `policyctl retrain` writes for a pipeline.

JSON, JUnit XML and a Markdown summary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from policy_api.v1 import artifact_pb2, gate_pb2
from policy_api.v1.training_pb2 import TrainingJob
from policyd.cli.exits import Exit
from policyd.cli.outcome import Outcome
from policyd.counted import counted
from policyd.quoting import escaped

_STAGES = ("request", "training", "gate")

# The stage at which an outcome stops. JUnit calls it a failure (of what was tested) or an error.
_STOPS = {
    Exit.BAD_REQUEST: ("request", "error"),
    Exit.FAILED: ("request", "error"),
    Exit.UNREACHABLE: ("request", "error"),
    Exit.TIMED_OUT: ("training", "error"),
    Exit.JOB_CANCELLED: ("training", "error"),
    Exit.JOB_FAILED: ("training", "failure"),
    Exit.GATE_REFUSED: ("gate", "failure"),
    Exit.CANNOT_TELL: ("gate", "failure"),
}

_TITLES = {
    "promoted": "promoted",
    "published": "published, not promoted as asked",
    "queued": "queued",
    "gate_refused": "the gate keeps the champion",
    "cannot_tell": "the evidence does not tell which is better",
    "job_failed": "training failed",
    "job_cancelled": "training was cancelled",
    "timed_out": "still running when the timeout passed",
    "unreachable": "no server answered",
    "bad_request": "the request is wrong",
    "refused": "refused",
}


@dataclass(frozen=True)
class OutcomeFiles:
    """Where the outcome of a retraining is written. None: this file is not written."""

    json: Path | None = None
    junit: Path | None = None
    #: Markdown; the summary is appended, as GitHub's step summary expects.
    summary: Path | None = None

    def write(self, outcome: Outcome) -> None:
        """Writes each file, whatever the outcome is."""
        if self.json is not None:
            self.json.write_text(json.dumps(outcome.document(), indent=2, allow_nan=False) + "\n")
        if self.junit is not None:
            self.junit.write_text(junit(outcome), encoding="utf-8")
        if self.summary is not None:
            with self.summary.open("a", encoding="utf-8") as file:
                file.write(summary(outcome))


def junit(outcome: Outcome) -> str:
    """Returns JUnit XML: the request, the training and the gate as three tests.

    If one of them stopped the run, the later ones are marked as skipped.
    """
    policy = escaped(outcome.job.spec.policy) if outcome.job is not None else "policy"
    stopped_at, kind = _STOPS.get(outcome.code, ("", ""))
    stopped = _STAGES.index(stopped_at) if stopped_at else len(_STAGES)
    skipped = [i for i in range(len(_STAGES)) if i > stopped or _not_run(_STAGES[i], outcome)]
    suite = ET.Element(
        "testsuite",
        name=f"policyctl retrain {policy}",
        tests=str(len(_STAGES)),
        failures=str(int(kind == "failure")),
        errors=str(int(kind == "error")),
        skipped=str(len(skipped)),
        time=f"{_seconds(outcome):.3f}",
    )
    for i, stage in enumerate(_STAGES):
        case = ET.SubElement(suite, "testcase", classname=f"policyd.{policy}", name=stage)
        if i == stopped:
            ET.SubElement(case, kind, type=outcome.word, message=escaped(outcome.message))
        elif i in skipped:
            ET.SubElement(case, "skipped")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _not_run(stage: str, outcome: Outcome) -> bool:
    """Whether the stage was skipped because the command did not wait, or asked for no promotion."""
    return (outcome.word == "queued" and stage != "request") or (
        outcome.word == "published" and stage == "gate"
    )


def _seconds(outcome: Outcome) -> float:
    job = outcome.job
    if job is None or not job.HasField("end_time"):
        return 0.0
    return (job.end_time.ToNanoseconds() - job.create_time.ToNanoseconds()) / 1e9


def summary(outcome: Outcome) -> str:
    """Returns Markdown for a pull request: a heading, one line with the reason, and a table."""
    policy = f" {_escaped(outcome.job.spec.policy)}" if outcome.job is not None else ""
    parts = [f"## Retraining{policy}: {_TITLES[outcome.word]}", _escaped(outcome.message)]
    if outcome.job is not None:
        parts.append(_table(_entries(outcome.job)))
        if outcome.job.failure.log_tail:
            parts.append(_fenced(outcome.job.failure.log_tail))
    return "\n\n".join(parts) + "\n"


def _entries(job: TrainingJob) -> list[tuple[str, str]]:
    spec, result, progress = job.spec, job.result, job.progress
    entries = [
        ("Environment", f"`{spec.env_id}`"),
        ("Algorithm", f"{spec.algorithm}, seed {spec.seed}"),
        (
            "Settings",
            ", ".join(f"`{name}={value}`" for name, value in sorted(spec.settings.items())) or "preset",
        ),
        ("Job", f"`{job.job_id}`, request `{job.request_id}`, attempts {job.attempts}"),
    ]
    if progress.env_steps:
        entries.append(("Environment steps", f"{progress.env_steps:,}"))
    if job.HasField("result"):
        entries.append(("Version", f"{result.version} (`{result.digest[:12]}`), `{result.version_path}`"))
        entries.append(("Return, greedy", _figures(result.evaluation.greedy)))
        entries.append(("Return, sampled", _figures(result.evaluation.sampled)))
        entries.append(("Promoted", "yes" if result.promoted else "no"))
    if result.HasField("verdict"):
        entries.extend(_gate(result.verdict))
    return entries


def _gate(verdict: gate_pb2.GateVerdict) -> list[tuple[str, str]]:
    name = (
        gate_pb2.GateVerdict.Outcome.Name(verdict.outcome).removeprefix("OUTCOME_").lower().replace("_", " ")
    )
    entries = [("Gate", name)]
    if verdict.HasField("difference"):
        found = verdict.difference
        interval = f"{found.mean:+.1f}, {found.coverage:.0%} interval {found.low:+.1f} to {found.high:+.1f}"
        entries.append(
            (
                f"Difference to version {verdict.champion_version}",
                (
                    f"{interval}, {counted(verdict.episodes, 'paired episodes')}, "
                    f"{counted(verdict.looks, 'looks')}"
                ),
            )
        )
    return entries


def _figures(figures: artifact_pb2.ReturnFigures) -> str:
    return (
        f"{figures.mean:.1f} ±{figures.std:.1f}, 95% interval of the mean {figures.ci_low:.1f} to "
        f"{figures.ci_high:.1f}, {counted(figures.episodes, 'episodes')}"
    )


def _table(entries: list[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_escaped(value)} |" for name, value in entries)])


def _escaped(text: str) -> str:
    """Returns text that fits one table cell: one line, with control characters escaped."""
    return escaped(" ".join(text.replace("|", "\\|").split()))


def _fenced(lines: Iterable[str]) -> str:
    """Returns the lines as a code block. The fence is longer than any fence inside it."""
    shown = [escaped(line.expandtabs()) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence, *shown, fence])
