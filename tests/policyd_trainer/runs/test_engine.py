"""Which engine learns, and runs of populations and of several processes that are killed."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from google.protobuf import json_format

from policy_api.v1.training_pb2 import WorkerEvent
from policyd.repository import ModelRepository
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import resolve_config
from policyd_trainer.device.loop import DeviceLoop
from policyd_trainer.device.tasks import task_of
from policyd_trainer.environments.make import inspect
from policyd_trainer.runs import engine
from policyd_trainer.runs.checkpoint import FILE

EXAMPLE = Path(__file__).parents[3] / "examples" / "corridor"
SMALL = {
    "n_envs": 4,
    "n_steps": 8,
    "minibatch_size": 16,
    "hidden_sizes": [8],
    "candidates": 1,
    "evaluation_episodes": 2,
    "selection_episodes": 2,
    "checkpoint_seconds": 0.1,
}


def command(folder: Path, env_id: str, **settings: object) -> list[str]:
    """The command line of a small run that can be resumed."""
    pairs = [
        part
        for key, value in {**SMALL, **settings}.items()
        for part in ("--set", f"{key}={json.dumps(value)}")
    ]
    line = [sys.executable, "-m", "policyd_trainer", "train", "--policy", "p", "--env", env_id]
    return [
        *(*line, "--repository", str(folder / "repository"), "--run-dir", str(folder / "run")),
        *("--progress", "json", "--no-report", *pairs),
    ]


def events(output: str) -> list[WorkerEvent]:
    """All lines, each of which must be an event."""
    return [json_format.Parse(line, WorkerEvent()) for line in output.splitlines() if line]


def test_the_probe_takes_the_faster_engine() -> None:
    """Both learn for a moment and are closed. On a CPU with 8 environments numpy is faster."""
    config = resolve_config("p", "CartPole-v1", "a2c", 0, {"n_envs": "8", "n_steps": "16"})
    info = inspect(config)
    candidates: dict[str, engine.Start] = {
        "torch": lambda: DeviceLoop(config, task_of(config, info), torch.device("cpu")),
        "numpy": functools.partial(start, config, info),
    }
    chosen, speeds = engine.faster(candidates, seconds=0.2)
    assert chosen == "numpy"
    assert speeds["numpy"] > speeds["torch"] > 0
    told = engine.describe(chosen, speeds)
    assert told.startswith("device: numpy, by a probe of 1 s each (torch ")


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_auto_is_the_cpu_where_there_is_no_gpu(tmp_path: Path) -> None:
    """Without a GPU nothing is measured or written down."""
    config = resolve_config("p", "CartPole-v1", "a2c", 0, {"device": "auto"})
    loop = engine.start_loop(config, inspect(config), tmp_path)
    assert type(loop).__name__ == "TrainingLoop"
    assert not (tmp_path / engine.FILE).exists()
    loop.close()


def test_a_users_environment_on_the_device(tmp_path: Path) -> None:
    """The example trains from tensors, and is published for the environment it replaces."""
    settings = {"device_env": "corridor.on_device:CorridorOnDevice", "total_timesteps": 2000}
    done = subprocess.run(
        command(tmp_path, "corridor:Corridor-v0", **settings),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(EXAMPLE)},
    )
    assert done.returncode == 0, done.stderr
    assert events(done.stdout)[-1].result.version == 1
    assert ModelRepository(tmp_path / "repository").read("p", 1).metadata.env_id == "corridor:Corridor-v0"


@pytest.mark.long
@pytest.mark.parametrize("kind", ["seeds", "devices"])
def test_a_killed_run_goes_on(tmp_path: Path, kind: str) -> None:
    """After kill -9 of all its processes, the same command ends at the requested step."""
    line = command(tmp_path, "CartPole-v1", **{kind: 2}, total_timesteps=6_000)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            progress = json_format.Parse(text, WorkerEvent()).progress
            if progress.env_steps > 300 and (tmp_path / "run" / FILE).exists():
                os.killpg(process.pid, signal.SIGKILL)
                break
    assert ModelRepository(tmp_path / "repository").policies() == []
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = events(done.stdout)
    learned = [event.progress.env_steps for event in told if event.progress.env_steps]
    assert 0 < learned[0] < 6_000
    assert learned[-1] >= 6_000
    assert told[-1].result.version == 1
