"""`policyd-trainer learn` as a process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from google.protobuf import json_format

from policy_api.v1.training_pb2 import WorkerEvent
from tests.policyd_trainer.experience.world import POLICY, World


def command(world: World, *settings: str) -> list[str]:
    """The command line, with JSON progress."""
    words = [sys.executable, "-m", "policyd_trainer", "learn", "--policy", POLICY, "--progress", "json"]
    words += ["--repository", str(world.root)]
    for setting in settings:
        words += ["--set", setting]
    return words


def test_sigterm_ends_it_between_two_batches(world: World) -> None:
    """While it waits for episodes, SIGTERM gives exit code 143 and the last batch's version."""
    world.play(64)
    with subprocess.Popen(command(world, "batch_steps=64"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json_format.Parse(line, WorkerEvent())
            if event.progress.learning.version:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    assert event.progress.learning.version == world.champion() == 2
    assert event.progress.env_steps == 64


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("batch_steps=0", "settings[batch_steps]"),
        ("correction=vtrace", "weighted, clip or none with reinforce"),
        ("gamma=2", "settings[gamma]"),
        ("nonsense", "KEY=VALUE"),
    ],
)
def test_a_wrong_setting_is_named(world: World, setting: str, message: str) -> None:
    """The failure names the setting, and the exit code is 1."""
    words = [*command(world, setting), "--algorithm", "reinforce"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 1
    assert message in json_format.Parse(ended.stdout.splitlines()[0], WorkerEvent()).failure.message
