"""`policyd-trainer learn` as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

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


MOVES = """
import os
import gymnasium as gym
import numpy as np

class Moves(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(3)

    def __init__(self):
        os.chdir("/")

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, True, False, {}

gym.register("Moves-v0", Moves)
"""


def test_an_environment_may_change_the_working_folder(world: World, tmp_path: Path) -> None:
    """The gate's environment does so here. The repository's relative path keeps its meaning."""
    world.learn(world.job(), 0)
    world.play(64)
    (tmp_path / "moves.py").write_text(MOVES)
    words = [*command(world, "batch_steps=64", "max_steps=64"), "--env", "moves:Moves-v0"]
    words[words.index(str(world.root))] = world.root.name
    ended = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        cwd=world.root.parent,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert ended.returncode == 0, ended.stderr
    assert world.repository.versions(POLICY) == [1, 2]
