"""An environment that never answers fails the run, by its name.

It costs nothing that was saved.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import json_format

from policy_api.v1.training_pb2 import WorkerEvent
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.errors import EnvironmentHangs
from policyd_trainer.environments.make import inspect
from policyd_trainer.environments.watchdog import Watchdog
from policyd_trainer.runs.checkpoint import FILE

TESTS = Path(__file__).parents[1]
#: Shares one core with two programs that are far more important, and steps until it has waited for
#: that core twice as long as a step may take.
STARVED = """
import os, subprocess, sys, time
from policyd_trainer.environments.calls import STEP
from policyd_trainer.environments.watchdog import Watchdog
from policyd_trainer.guardian.starvation import starved_seconds

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
os.nice(19)
try:
    with Watchdog(1.0, "Slow-v0"), STEP:
        before = starved_seconds(os.getpid())
        while starved_seconds(os.getpid()) < before + 2:
            assert time.thread_time() < 5, "the kernel does not count how long threads wait"
    print("the step ended")
finally:
    for each in busy:
        each.kill()
"""


def configuration(kind: str, **settings: str) -> TrainingConfig:
    kwargs = json.dumps({"kind": kind})
    given = {"preset": "course", "step_timeout": "2", "env_kwargs": kwargs, **settings}
    return resolve_config("p", "scripted:Misbehaving-v0", "a2c", 0, given)


@pytest.mark.parametrize("kind", ["spin", "sleep"])
def test_a_call_that_hangs_is_an_error(kind: str) -> None:
    """A loop that swallows exceptions and a sleep are both ended.

    The error names environment and setting.
    """
    config = configuration(kind)
    wanted = "environment 0: step: scripted:Misbehaving-v0 did not answer within 2 s.*step_timeout"
    with Watchdog(config.step_timeout, config.env_id), pytest.raises(EnvironmentHangs, match=wanted):
        list(start(config, inspect(config)).run())


def test_workers_tell_that_one_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout worker whose environment hangs gives the same error."""
    monkeypatch.syspath_prepend(TESTS)  # workers import the environment themselves
    config = configuration("sleep", n_envs="2", rollout_workers="2", n_steps="8")
    loop = start(config, inspect(config))
    with pytest.raises(EnvironmentHangs, match="did not answer within 2 s"):
        list(loop.run())
    loop.collector.close()


@pytest.mark.parametrize("kind", ["sleep", "deadlock"])
def test_a_run_fails_and_keeps_its_checkpoint(tmp_path: Path, kind: str) -> None:
    """There is exit code 1, the failure as the last line, and the last checkpoint.

    That holds for a deadlock in C, too.
    """
    line = [
        sys.executable,
        "-m",
        "policyd_trainer",
        "train",
        "--policy",
        "p",
        "--env",
        "scripted:Misbehaving-v0",
    ]
    line += ["--repository", str(tmp_path), "--run-dir", str(tmp_path / "run"), "--progress", "json"]
    settings = configuration(kind, step_timeout="3").settings()
    for name in ("preset", "step_timeout", "env_kwargs", "truncation", "critic_gradient"):
        line += ["--set", f"{name}={settings[name]}"]
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(TESTS)}
    )
    failure = json_format.Parse(done.stdout.splitlines()[-1], WorkerEvent()).failure
    assert (done.returncode, failure.reason) == (1, "ENVIRONMENT_HANGS"), done.stderr
    assert "Misbehaving-v0 did not answer within 3 s" in failure.message
    assert (tmp_path / "run" / FILE).exists()


def test_a_step_that_waits_for_a_core_does_not_hang() -> None:
    """Time in which the machine was too busy to run the environment does not count as its own."""
    told = subprocess.run(
        [sys.executable, "-c", STARVED], capture_output=True, text=True, check=False, timeout=240
    )
    assert (told.returncode, told.stdout) == (0, "the step ended\n"), told.stderr
