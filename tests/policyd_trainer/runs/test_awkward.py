"""`policyd-trainer train` on environments that do not behave: each works, or is refused by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from google.protobuf import json_format

from policy_api.v1.training_pb2 import WorkerEvent
from policyd.repository import ModelRepository

TESTS = Path(__file__).parents[1]
SMALL = {"total_timesteps": 600, "n_envs": 2, "n_steps": 16, "candidates": 1, "evaluation_episodes": 2}


def train(
    tmp_path: Path, name: str, env_kwargs: object = None, **settings: object
) -> subprocess.CompletedProcess[str]:
    """The command as a user starts it, with JSON progress."""
    given = {**SMALL, **settings, "env_kwargs": env_kwargs or {}}
    pairs = [part for key, value in given.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    line = [sys.executable, "-m", "policyd_trainer", "train", "--policy", "p", "--env", f"awkward:{name}-v0"]
    return subprocess.run(
        [*line, "--repository", "repository", "--progress", "json", *pairs],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TESTS), "COUNTED_FILE": str(tmp_path / "counts")},
    )


def events(output: str) -> list[WorkerEvent]:
    """All lines, each of which must be an event."""
    return [json_format.Parse(line, WorkerEvent()) for line in output.splitlines() if line]


def published(tmp_path: Path) -> list[int]:
    """The versions of the policy."""
    repository = ModelRepository(tmp_path / "repository")
    return repository.versions("p") if repository.policies() else []


@pytest.mark.parametrize(
    ("way", "call", "told"),
    [
        ("sys.exit", "step", "step: the environment called sys.exit(None)"),
        ("sys.exit", "constructor", "constructor: the environment called sys.exit(None)"),
        ("interrupt", "reset", "reset: the environment raised KeyboardInterrupt"),
        ("odd text", "step", "step failed with ValueError: ?xxx"),
        ("os._exit", "step", "ended with exit code 0 in a call of the environment: step"),
        ("exit in C", "reset", "ended with exit code 0 in a call of the environment: first reset"),
        ("segfault", "step", "was ended by SIGSEGV in a call of the environment: step"),
    ],
)
def test_an_end_of_the_process_is_no_success(tmp_path: Path, way: str, call: str, told: str) -> None:
    """The environment ends the process in any way.

    The exit code is not 0, and the failure names the call.
    """
    done = train(tmp_path, "Ends", {"way": way, "call": call})
    assert done.returncode != 0
    failure = events(done.stdout)[-1].failure
    assert told in failure.message
    assert len(failure.message) < 20_000
    assert failure.reason in ("ENVIRONMENT_FAILED", "WORKER_DIED")
    assert published(tmp_path) == []
    if way == "segfault":
        assert "awkward/endings.py" in done.stderr  # faulthandler's traceback


@pytest.mark.parametrize(
    ("way", "call", "told"),
    [
        ("os._exit", "step", "ended with exit code 0 in a call of the environment: step"),
        ("segfault", "step", "was ended by SIGSEGV in a call of the environment: step"),
    ],
)
def test_a_death_in_a_rollout_worker_names_the_call(tmp_path: Path, way: str, call: str, told: str) -> None:
    """The failure is the same as in a single process."""
    done = train(tmp_path, "Ends", {"way": way, "call": call}, rollout_workers=2)
    assert done.returncode != 0
    failure = events(done.stdout)[-1].failure
    assert (failure.reason, failure.message) == ("ENVIRONMENT_FAILED", f"a rollout worker {told}")
    assert published(tmp_path) == []


def test_what_an_environment_prints_and_leaves_does_no_harm(tmp_path: Path) -> None:
    """The environment's output is on stderr, and nothing waits for its thread and process.

    The process is in another session.
    """
    began = time.monotonic()
    done = train(tmp_path, "Talks", n_envs=1)
    assert done.returncode == 0, done.stderr
    told = events(done.stdout)
    assert told[-1].result.version == 1
    assert all(event.progress.fraction <= 1 for event in told)
    for line in ('{"event": "closed"}', '{"result": {"version": 99}}', "left behind: sleep 600"):
        assert line in done.stderr
    assert time.monotonic() - began < 100  # the process and the thread last longer


def test_settings_of_the_process_are_the_learners_own(tmp_path: Path) -> None:
    """An environment's changes to the process have no effect on the learner.

    They are torch's default type, numpy's error settings, folder and closed streams.
    """
    done = train(tmp_path, "Meddles")
    assert done.returncode == 0, done.stdout
    assert published(tmp_path) == [1]
    files = [tmp_path / "repository/models/p/1", *(tmp_path / "repository/models/p/1").iterdir()]
    assert [file.name for file in files if not file.stat().st_mode & 0o400] == []


@pytest.mark.parametrize("way", ["raise", "hang", "exit"])
def test_a_close_that_fails_costs_nothing(tmp_path: Path, way: str) -> None:
    """The log has the error, and the version is published."""
    done = train(tmp_path, "CloseFails", {"way": way}, step_timeout=1, n_envs=1)
    assert done.returncode == 0, done.stderr
    assert "closing an environment failed" in done.stderr
    assert published(tmp_path) == [1]


@pytest.mark.parametrize("way", ["spin", "finalize"])
def test_a_finalizer_that_does_not_end_costs_nothing(tmp_path: Path, way: str) -> None:
    """The version is published. Later finalizers of the same kind are not waited for."""
    done = train(tmp_path, "FreedForEver", {"way": way}, step_timeout=1)
    assert done.returncode == 0, done.stderr
    assert "freeing an environment did not end" in done.stderr
    assert events(done.stdout)[-1].result.version == 1
    assert published(tmp_path) == [1]


@pytest.mark.parametrize("way", ["path", "files", "fork"])
def test_what_a_run_needs_is_put_back(tmp_path: Path, way: str) -> None:
    """Modules are found, files can be written, and a forked copy publishes nothing."""
    done = train(tmp_path, "Changes", {"way": way})
    assert done.returncode == 0, done.stderr
    assert len([event for event in events(done.stdout) if event.HasField("result")]) == 1
    assert published(tmp_path) == [1]


@pytest.mark.parametrize(
    ("way", "named"),
    [
        ("open", "changed builtins.open"),
        ("rng", "changed numpy.random.default_rng"),
        ("modules", "changed sys.modules['sys']"),
        ("descriptors", "changed open file descriptors"),
        ("hook", "raised RuntimeError('nothing is opened here')"),
    ],
)
def test_a_library_that_was_changed_is_named(tmp_path: Path, way: str, named: str) -> None:
    """A failure in our code counts as the environment's, and says what was changed."""
    done = train(tmp_path, "Changes", {"way": way})
    assert done.returncode == 1, done.stderr
    failure = events(done.stdout)[-1].failure
    assert failure.reason == "ENVIRONMENT_FAILED"
    assert f"its code {named}" in failure.message
