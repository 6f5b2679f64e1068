"""What `policyctl retrain` leaves for a pipeline: exit code, JSON, JUnit, Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from policy_api.v1.gate_pb2 import GateVerdict
from policy_api.v1.training_pb2 import TrainingJob
from policyd import errors
from policyd.cli.exits import Exit
from policyd.cli.outcome import Outcome
from policyd.cli.outcome_files import junit, summary

CONFIG = "policy: cartpole\nenv: CartPole-v1\nalgorithm: a2c\n"


@pytest.fixture
def ci(shell: Any, tmp_path: Path) -> Any:
    """Runs the command like a pipeline. Returns its exit code and the three files."""
    config = tmp_path / "retrain.yaml"
    config.write_text(CONFIG)

    def run(*more: str) -> tuple[int, dict[str, Any], ET.Element, str]:
        files = [tmp_path / name for name in ("out.json", "out.xml", "out.md")]
        for file in files:
            file.unlink(missing_ok=True)
        flags = ("--json", str(files[0]), "--junit", str(files[1]), "--summary", str(files[2]))
        code = shell("retrain", str(config), "--wait", "--timeout", "30m", *flags, *more)
        return code, json.loads(files[0].read_text()), ET.parse(files[1]).getroot(), files[2].read_text()

    return run


@pytest.mark.parametrize(
    ("state", "promoted", "code", "word", "stopped_at"),
    [
        (TrainingJob.SUCCEEDED, True, Exit.OK, "promoted", None),
        (TrainingJob.SUCCEEDED, False, Exit.GATE_REFUSED, "gate_refused", "gate"),
        (TrainingJob.FAILED, False, Exit.JOB_FAILED, "job_failed", "training"),
        (TrainingJob.CANCELLED, False, Exit.JOB_CANCELLED, "job_cancelled", "training"),
    ],
)
def test_each_ending_is_told_three_times(
    ci: Any, peer: Any, state: Any, promoted: bool, code: Exit, word: str, stopped_at: str | None
) -> None:
    """Exit code, JSON, JUnit and summary agree on how the job ended."""
    peer.ending, peer.promoted = state, promoted
    ended, document, suites, summary = ci()
    assert ended == code == document["exit_code"]
    assert document["outcome"] == word
    stopped = [case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None]
    stopped += [case.get("name") for case in suites.iter("testcase") if case.find("error") is not None]
    assert stopped == ([stopped_at] if stopped_at else [])
    assert summary.startswith("## Retraining cartpole: ")
    assert "`CartPole-v1`" in summary


@pytest.mark.parametrize(
    ("verdict", "code", "word"),
    [
        (GateVerdict.OUTCOME_WORSE, Exit.GATE_REFUSED, "gate_refused"),
        (GateVerdict.OUTCOME_BELOW_FLOOR, Exit.GATE_REFUSED, "gate_refused"),
        (GateVerdict.OUTCOME_CANNOT_TELL, Exit.CANNOT_TELL, "cannot_tell"),
        (GateVerdict.OUTCOME_NOT_COMPARABLE, Exit.CANNOT_TELL, "cannot_tell"),
    ],
)
def test_the_gates_verdict_is_told(ci: Any, peer: Any, verdict: Any, code: Exit, word: str) -> None:
    """A refusal and an undecided gate have different results. The summary has the interval."""
    peer.promoted = False
    peer.verdict.outcome = verdict
    peer.verdict.champion_version = 2
    peer.verdict.difference.low, peer.verdict.difference.high = -12.5, 3.25
    ended, document, suites, summary = ci()
    assert (ended, document["outcome"]) == (code, word)
    assert suites.find("testsuite/testcase[@name='gate']/failure") is not None
    assert "interval -12.5 to +3.2" in summary


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (errors.Unavailable("the trainer cannot be reached"), Exit.UNREACHABLE, "unreachable"),
        (errors.InvalidArgument.of("policy", got="x", wanted="y"), Exit.BAD_REQUEST, "bad_request"),
        (errors.PermissionDenied("not on the allow-list"), Exit.BAD_REQUEST, "bad_request"),
    ],
)
def test_an_error_leaves_the_files_too(ci: Any, peer: Any, error: Any, code: Exit, word: str) -> None:
    """If no job could be created, the files say why."""
    peer.fail_with = error
    ended, document, suites, summary = ci()
    assert ended == code
    assert document["outcome"] == word
    assert error.message in document["message"]
    assert suites.find("testsuite/testcase/error") is not None
    assert error.message in summary


def test_a_timeout_names_the_job(ci: Any, peer: Any) -> None:
    """If the command times out, its files name the job that goes on."""
    peer.never_ends.clear()
    ended, document, *_ = ci("--timeout", "0.3s")
    assert ended == Exit.TIMED_OUT
    assert (document["outcome"], document["job_id"]) == ("timed_out", "job-1")


def test_run_again_it_attaches(ci: Any) -> None:
    """The same file at the same commit finds the same job. Other content or another id does not."""
    assert ci()[1]["job_id"] == ci()[1]["job_id"] == "job-1"
    assert ci("--seed", "1")[1]["job_id"] == "job-2"
    assert ci("--request-id", "mine")[1]["request_id"] == "mine"


def test_not_promoting_is_no_failure(ci: Any, peer: Any) -> None:
    """With --no-promote the gate's test is skipped and the code is 0."""
    peer.promoted = False
    ended, document, suites, _ = ci("--no-promote")
    assert (ended, document["outcome"]) == (Exit.OK, "published")
    assert suites.find("testsuite/testcase[@name='gate']/skipped") is not None


def test_json_without_a_file_goes_to_stdout(shell: Any, tmp_path: Path) -> None:
    """`--json` alone prints the document, whatever comes after it."""
    config = tmp_path / "retrain.yaml"
    config.write_text(CONFIG)
    assert shell("retrain", str(config), "--json", "--wait") == Exit.OK
    assert shell.document["outcome"] == "promoted"


NASTY = "\x00\x1b[31mred\x07 \x85 \ufffe <a href='x'>&amp; ]]> | ``` \u2028 \x7f end"


def test_control_characters_leave_the_files_well_formed() -> None:
    """JUnit can be parsed, and table cells and the block of the log stay intact."""
    job = TrainingJob(job_id=f"job{NASTY}", state=TrainingJob.FAILED)
    job.spec.policy, job.spec.env_id = f"p{NASTY}", f"e\n{NASTY}"
    job.failure.message = NASTY
    job.failure.log_tail.extend([NASTY, "```", "````", "a\tb"])
    outcome = Outcome.of(job)
    failure = ET.fromstring(junit(outcome)).find("testsuite/testcase/failure")
    assert failure is not None
    assert "\\x1b[31mred" in failure.attrib["message"]
    text = summary(outcome)
    assert all(character.isprintable() for line in text.split("\n") for character in line)
    block = text[text.index("`````\n") :].rstrip("\n").split("\n")
    assert (block[0], block[-1], len(block)) == ("`````", "`````", 6)
    assert [line for line in text.split("\n") if line.startswith("| Environment | `e ")]
