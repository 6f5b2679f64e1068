"""What CI is told, by the real system.

The exit code of every way in which `policyctl retrain` can end.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.stack import Stack, StackSettings
from policyd.cli.exits import Exit

TINY = "policy: cartpole\nenv: CartPole-v1\nalgorithm: a2c\n"
TINY += "settings: {total_timesteps: 4000, evaluation_episodes: 10}\n"
LONG = TINY.replace("4000", "50000000")

# Real trainings of 4,000 steps take seconds on an idle machine, minutes on a busy one.

Retrain = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for all of them."""
    with Stack(StackSettings(tmp_path_factory.mktemp("stack"))) as running:
        yield running


def _command(stack: Stack, config: Path, *more: str) -> list[str]:
    program = str(Path(sys.executable).with_name("policyctl"))
    out = str(config.with_suffix(".json"))
    return [program, "--server", stack.server_address, "retrain", str(config), "--wait", "--json", out, *more]


@pytest.fixture
def retrain(stack: Stack, tmp_path: Path) -> Retrain:
    """Runs `policyctl retrain` on a configuration. Returns its exit code and its JSON."""

    def run(text: str, *more: str) -> tuple[int, dict[str, Any]]:
        config = tmp_path / "config.yaml"
        config.write_text(text)
        done = subprocess.run(
            _command(stack, config, *more), capture_output=True, text=True, check=False, timeout=280
        )
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(config.with_suffix(".json").read_text())

    return run


def test_promoted_then_not_to_be_told_apart(retrain: Retrain) -> None:
    """The first version is promoted.

    The same training with the same seeds gives a version that cannot be told from it.
    """
    code, document = retrain(TINY)
    assert (code, document["outcome"], document["promoted"]) == (Exit.OK, "promoted", True)
    again = TINY + "promotion: {gate: {block_episodes: 10, max_episodes: 10}}\n"
    code, document = retrain(again)
    assert (code, document["outcome"]) == (Exit.CANNOT_TELL, "cannot_tell"), document["message"]
    assert document["job"]["result"]["verdict"]["episodes"] == 10


def test_below_the_floor(retrain: Retrain) -> None:
    """If CartPole cannot reach the minimum return, the gate refuses."""
    code, document = retrain(TINY + "promotion: {min_return: 501}\n")
    assert (code, document["outcome"]) == (Exit.GATE_REFUSED, "gate_refused")


def test_a_failed_job(retrain: Retrain) -> None:
    """A job that reaches its limit fails, and names the limit."""
    code, document = retrain(LONG + "limits: {env_steps: 1000}\n")
    assert (code, document["outcome"]) == (Exit.JOB_FAILED, "job_failed"), document["message"]
    assert "ENV_STEP_LIMIT" in document["message"]


def test_a_wrong_setting_is_shown_in_the_file(retrain: Retrain) -> None:
    """What the trainer refuses is shown as a bad request, with the line of the file."""
    code, document = retrain(TINY.replace("4000", "4000, gamma: 2"))
    assert (code, document["outcome"]) == (Exit.BAD_REQUEST, "bad_request")
    assert "config.yaml:4: settings[gamma]" in document["message"]


def test_timed_out_killed_attached_cancelled(stack: Stack, retrain: Retrain, tmp_path: Path) -> None:
    """The job goes on after a time-out, and after kill -9 of the command.

    The next run attaches to it and sees it cancelled.
    """
    code, document = retrain(LONG, "--timeout", "3s")
    assert (code, document["outcome"]) == (Exit.TIMED_OUT, "timed_out")
    job_id = document["job_id"]
    command = _command(stack, tmp_path / "config.yaml")
    for end in ("kill", "cancel"):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert job_id in process.stderr.readline()  # the run has attached
            if end == "kill":
                process.send_signal(signal.SIGKILL)
            else:
                cancel = [command[0], "--server", stack.server_address, "jobs", "cancel", job_id]
                subprocess.run(cancel, check=True, capture_output=True)
            process.stderr.read()
        expected = -signal.SIGKILL if end == "kill" else Exit.JOB_CANCELLED
        assert process.returncode == expected
    outcome = json.loads((tmp_path / "config.json").read_text())
    assert (outcome["outcome"], outcome["job_id"]) == ("job_cancelled", job_id)


def test_nobody_there(tmp_path: Path) -> None:
    """Without a server the output files say so."""
    config = tmp_path / "config.yaml"
    config.write_text(TINY)
    program = str(Path(sys.executable).with_name("policyctl"))
    command = [program, "--server", "127.0.0.1:1", "retrain", str(config), "--wait"]
    done = subprocess.run([*command, "--json", str(tmp_path / "out.json")], capture_output=True, check=False)
    assert done.returncode == Exit.UNREACHABLE
    assert json.loads((tmp_path / "out.json").read_text())["outcome"] == "unreachable"
