"""Every command of policyctl: its text, its JSON, its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from policy_api.v1 import policy_pb2, traffic_pb2, training_pb2
from policyd import errors
from policyd.cli.app import run
from policyd.cli.commands import evaluate, policies
from policyd.cli.exits import Exit

Job = training_pb2.TrainingJob
RETRAIN = ("retrain", "--policy", "cartpole", "--env", "CartPole-v1", "--algorithm", "a2c")
EVERY = [
    ("act", "0,0,0.1,0"),
    ("play", "--episodes", "2"),
    ("policies",),
    ("versions",),
    ("promote", "1", "--reason", "calmer"),
    ("rollback", "--reason", "worse"),
    RETRAIN,
    (*RETRAIN, "--wait"),
    ("jobs", "list"),
]


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_text_for_people(shell: Any, command: tuple[str, ...]) -> None:
    """Each command succeeds and prints something readable."""
    assert shell(*command) == Exit.OK
    assert shell.out.strip()
    assert "{" not in shell.out


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
@pytest.mark.parametrize("before", [True, False])
def test_json_for_machines(shell: Any, command: tuple[str, ...], before: bool) -> None:
    """With --json before or after the command, stdout is one JSON document."""
    arguments = ("--json", *command) if before else (*command, "--json")
    assert shell(*arguments) == Exit.OK
    assert isinstance(shell.document, dict)


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_no_server_is_one_line_and_a_code(
    capfd: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """Without a server every command ends with code 8 and one line that names the address."""
    assert run(["--server", "127.0.0.1:1", *command]) == Exit.UNREACHABLE
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "UNREACHABLE: no answer from 127.0.0.1:1" in error


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("versions", "--policy", "lander"), Exit.FAILED, "NOT_FOUND: no policy lander"),
        (("jobs", "show", "nope"), Exit.FAILED, "NOT_FOUND: no job nope"),
        (("act", "0,zero"), Exit.BAD_REQUEST, "observations: got 0,zero"),
        (("act", "0,0", "0"), Exit.BAD_REQUEST, "rows of equal length"),
        (("retrain", "--policy", "cartpole"), Exit.BAD_REQUEST, "--env: got nothing"),
        ((*RETRAIN, "--set", "gamma"), Exit.BAD_REQUEST, "--set: got gamma, expected KEY=VALUE"),
        ((*RETRAIN, "--timeout", "soon"), Exit.BAD_REQUEST, "30m"),
        (("play", "--env", "Nope-v9"), Exit.BAD_REQUEST, "env: got Nope-v9"),
        (("play", "--alias", "best"), Exit.FAILED, "aliases: champion"),
        (("play", "--version", "9"), Exit.FAILED, "no version 9"),
    ],
)
def test_an_error_is_readable(shell: Any, arguments: tuple[str, ...], code: Exit, line: str) -> None:
    """An error is one line, and its exit code says whose fault it is."""
    assert shell(*arguments) == code
    assert line in shell.err
    assert shell.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("promote", "first"), "'first' is not a valid integer range. (see policyctl promote --help)"),
        (("policies", "--al"), "No such option '--al'"),
        (("jobs", "stop", "job-1"), "No such command 'stop'. (see policyctl jobs --help)"),
        (("verify", "missing.json"), "'missing.json' does not exist"),
        (("--server", "", "policies"), "server: got '', expected HOST:PORT"),
        (("--server", "127.0.0.1:99999", "policies"), "server: got '127.0.0.1:99999'"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], line: str
) -> None:
    """A wrong command line is one line even without a call, such as a port beyond 65535."""
    assert run(arguments) == Exit.BAD_REQUEST
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert line in error


def test_ctrl_c_while_it_starts_is_a_line(tmp_path: Path) -> None:
    """Interrupted while modules are imported, it prints the same line and code as later."""
    (tmp_path / "numpy.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, "-m", "policyd", "policies"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (Exit.INTERRUPTED, "policyctl: interrupted")


def test_a_bug_is_a_line_too(shell: Any, tmp_path: Path) -> None:
    """An unexpected error ends with one line and code 1, without a traceback."""
    assert shell("act", "0,0,0,0", "--receipt", str(tmp_path / "missing" / "r.json")) == Exit.FAILED
    assert "FileNotFoundError" in shell.err
    assert "Traceback" not in shell.err


def test_play_prints_the_documented_json(shell: Any) -> None:
    """`play --json` has exactly the four documented keys, and a seed repeats it."""
    assert shell("--json", "play", "--policy", "cartpole", "--env", "CartPole-v1", "--seed", "5") == Exit.OK
    first = shell.document
    assert set(first) == {"mean_return", "std_return", "episodes", "version"}
    assert (first["episodes"], first["version"]) == (20, 2)
    assert isinstance(first["mean_return"], float)
    assert first["mean_return"] > 100
    shell("--json", "play", "--policy", "cartpole", "--env", "CartPole-v1", "--seed", "5")
    assert shell.document == first


def test_numbers_are_numbers(shell: Any) -> None:
    """In JSON integers stay integers, enums are names, and infinity is a string."""
    shell("--json", "versions")
    document: dict[str, Any] = shell.document
    assert document["generation"] == 2
    assert document["aliases"][0]["history"][0]["kind"] == "KIND_SET"
    assert document["versions"][0]["metadata"]["observation_space"]["box"]["low"] == ["-inf"]


def test_retrain_sends_what_the_flags_say(shell: Any, peer: Any) -> None:
    """Flags become the spec: settings as JSON, promotion with its minimum, the request id."""
    flags = ("--seed", "3", "--set", "gamma=0.9", "--set", "device=auto", "--min-return", "475")
    assert shell(*RETRAIN, *flags, "--request-id", "r1", "--no-promote") == Exit.OK
    sent = peer.requests[-1]
    assert sent.request_id == "r1"
    assert dict(sent.spec.settings) == {"gamma": "0.9", "device": '"auto"'}
    assert (sent.spec.seed, sent.spec.promotion.promote, sent.spec.promotion.min_return) == (3, False, 475)


@pytest.mark.parametrize(
    ("ending", "promoted", "code"),
    [
        (Job.SUCCEEDED, True, Exit.OK),
        (Job.SUCCEEDED, False, Exit.GATE_REFUSED),
        (Job.FAILED, False, Exit.JOB_FAILED),
        (Job.CANCELLED, False, Exit.JOB_CANCELLED),
    ],
)
def test_waiting_tells_how_it_ended(shell: Any, peer: Any, ending: Any, promoted: bool, code: Exit) -> None:
    """The exit codes of `retrain --wait` and `jobs watch` say how the job ended."""
    peer.ending, peer.promoted = ending, promoted
    assert shell(*RETRAIN, "--wait") == code
    assert "job job-1" in shell.out
    assert "mean return 123.5" in shell.err  # from the progress
    assert shell("jobs", "watch", "job-1") == code
    if ending == Job.FAILED:
        assert "DIVERGED: the loss is not finite" in shell.out
        assert "last words" in shell.out


def test_a_timeout_leaves_the_job(shell: Any, peer: Any) -> None:
    """`--timeout` ends with its own code and names the job, which goes on."""
    peer.never_ends.clear()
    assert shell(*RETRAIN, "--wait", "--timeout", "0.3s") == Exit.TIMED_OUT
    assert "job job-1 did not end within 0.3 s" in shell.err


def test_a_full_queue_says_come_back(shell: Any, peer: Any) -> None:
    """RESOURCE_EXHAUSTED has the exit code that means: try later."""
    peer.fail_with = errors.Exhausted("the queue holds 100 jobs", retry_after=5)
    assert shell(*RETRAIN) == Exit.UNREACHABLE
    assert "the queue holds 100 jobs" in shell.err


def test_watching_as_json_is_a_line_for_each_change(shell: Any) -> None:
    """`jobs watch --json` prints one document per line. The last one is the job's end."""
    shell(*RETRAIN)
    assert shell("jobs", "watch", "job-1", "--json") == Exit.OK
    assert [json.loads(line)["state"] for line in shell.out.splitlines()] == ["RUNNING", "SUCCEEDED"]


def test_show_and_cancel(shell: Any) -> None:
    """`jobs cancel` and `jobs show` work on one job."""
    shell(*RETRAIN)
    assert shell("jobs", "cancel", "job-1") == Exit.OK
    assert shell("--json", "jobs", "show", "job-1") == Exit.OK
    assert shell.document["state"] == "CANCELLED"


def test_the_log_of_a_job_is_printed_as_it_was_written(shell: Any) -> None:
    """Characters that are split between two pieces are joined.

    -f goes on, and --json prints a line for each piece.
    """
    shell(*RETRAIN)
    assert shell("jobs", "logs", "job-1") == Exit.OK
    assert shell.out == "für "
    assert shell("jobs", "logs", "-f", "job-1") == Exit.OK
    assert shell.out == "für more"
    assert shell("jobs", "logs", "job-1", "--json") == Exit.OK
    assert "".join(json.loads(line)["log"] for line in shell.out.splitlines()) == "für "


def test_a_queued_job_says_its_place_and_what_it_waits_for(shell: Any) -> None:
    """`jobs show` and the list have its place, the jobs ahead, who asked and when.

    The time has its zone.
    """
    shell(*RETRAIN, "--actor", "ann@work")
    shell(*RETRAIN, "--actor", "ci")
    shell("jobs", "show", "job-2")
    assert "number 2 in the queue, waits until job-1 has ended" in shell.out
    assert "by ci, created 2030-01-02T03:04:05Z" in shell.out
    shell("jobs", "list")
    header, newest, oldest = (line.split() for line in shell.out.splitlines())
    assert dict(zip(header, oldest, strict=True)) == {
        "JOB": "job-1",
        "POLICY": "cartpole",
        "ENV": "CartPole-v1",
        "ALGORITHM": "a2c",
        "STATE": "queued",
        "DONE": "0%",
        "RETURN": "-",
        "TOOK": "-",
        "VERSION": "-",
        "CREATED": "2030-01-02T03:04:05Z",
        "BY": "ann@work",
    }
    assert newest[0] == "job-2"


def test_a_list_tells_what_came_of_the_jobs(shell: Any, peer: Any) -> None:
    """The list has the version, its greedy mean return and how long the job took."""
    shell(*RETRAIN, "--wait")
    job = peer.jobs["job-1"]
    job.end_time.FromJsonString("2030-01-02T04:06:02Z")
    job.result.evaluation.greedy.mean = 487.25
    job.result.evaluation.greedy.episodes = 100
    shell("jobs", "list")
    row = shell.out.splitlines()[1].split()
    assert row[6:8] == ["487.25", "1:01:02"]


def test_promotion_is_recorded_with_who_and_why(shell: Any, peer: Any) -> None:
    """`promote` and `rollback` send who and why. The actor is the caller unless it is given."""
    shell("promote", "1", "--policy", "cartpole", "--reason", "calmer", "--expected-generation", "0")
    shell("rollback", "--policy", "cartpole", "--reason", "worse", "--actor", "ci")
    promoted, rolled_back = peer.requests
    assert "@" in promoted.actor
    assert (promoted.alias, promoted.reason, promoted.expected_generation) == ("champion", "calmer", 0)
    assert (rolled_back.actor, rolled_back.reason) == ("ci", "worse")
    assert not rolled_back.HasField("expected_generation")


def test_the_history_is_told_in_words() -> None:
    """A change without a known caller names none, and a rollback is no noun."""
    policy = policy_pb2.Policy(name="cartpole")
    alias = policy.aliases.add(name="champion")
    alias.history.add(kind=policy_pb2.AliasChange.KIND_SET, version=2, actor="ann", reason="calmer")
    alias.history.add(kind=policy_pb2.AliasChange.KIND_ROLLBACK, version=1)
    told = [line.partition("Z  ")[2] for line in policies.history(policy)[1:]]
    assert sorted(told) == ["champion rolled back to 1", "champion set to 2 by ann: calmer"]


def test_too_few_episodes_are_told_without_steps() -> None:
    """The server counts no steps where it has too few episodes to estimate anything."""
    found = traffic_pb2.EvaluateVersionResponse(policy="shop", version=2, episodes=1)
    assert evaluate.described(found).splitlines()[-1] == "1 episode; 0 left out"
