"""JUnit XML: the request, the training and the gate as three tests, for CI systems that show such."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from policyctl.exits import Exit
from policyctl.outcome import Outcome

_STAGES = ("request", "training", "gate")

# Where an outcome stops, and whether JUnit calls that a failure (of what was tested) or an error.
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


def junit(outcome: Outcome) -> str:
    """One test suite; stages after the one that stopped are skipped."""
    policy = outcome.job.spec.policy if outcome.job is not None else "policy"
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
            ET.SubElement(case, kind, type=outcome.word, message=outcome.message)
        elif i in skipped:
            ET.SubElement(case, "skipped")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _not_run(stage: str, outcome: Outcome) -> bool:
    """A job that was not waited for, or that nobody wanted promoted."""
    return (outcome.word == "queued" and stage != "request") or (
        outcome.word == "published" and stage == "gate"
    )


def _seconds(outcome: Outcome) -> float:
    job = outcome.job
    if job is None or not job.HasField("end_time"):
        return 0.0
    return (job.end_time.ToNanoseconds() - job.create_time.ToNanoseconds()) / 1e9
