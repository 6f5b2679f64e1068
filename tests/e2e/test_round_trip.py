"""Every kind of space from training to play: learned, exported, served, played, verified."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.stack.processes import ServiceProcess
from policyd import PolicyClient
from policyd.cli.app import run
from policyd.cli.exits import Exit
from policyd.repository import ModelRepository
from policyd_trainer.config import resolve_config
from policyd_trainer.gate.judging import Promotion
from policyd_trainer.runs.phases import RunOptions, execute
from policyd_trainer.runs.reporting import JsonReporter

ENV = "tests.policyd_trainer.kinds:Kinds-v0"
SETTINGS = {
    "total_timesteps": "6000",
    "n_envs": "8",
    "n_steps": "8",
    "candidates": "1",
    "evaluation_episodes": "10",
    "learning_rate": "3e-3",
    "gamma": "0.5",
}
NARROW = {"log_std_init": "-1"}
WRAPPED = {"wrappers": '["gymnasium.wrappers:FlattenObservation"]'}
#: Overrides the preset for Box actions, which a run would choose.
REINFORCE = {"algorithm": "reinforce", "preset": "continuous"}
#: Policy -> keyword arguments of the environment, further settings, a return that random actions do
#: not reach, and an observation.
KINDS: dict[str, tuple[dict[str, object], dict[str, str], float, str]] = {
    "masked": ({"actions": "discrete", "observations": "choice", "masked": True}, {}, 5.5, "3"),
    "branches": ({"actions": "branches", "observations": "dict"}, {}, 5.5, '{"z": 0, "a": [[3, 9]]}'),
    "guided": (
        {"actions": "branches", "observations": "tuple", "masked": True},
        {},
        5.5,
        "[[0, 1], 2, [0, 1]]",
    ),
    "wrapped": ({"actions": "branches", "observations": "dict"}, WRAPPED, 5.5, "0,1,3,9"),
    "bits": ({"actions": "bits", "observations": "vector"}, {"algorithm": "reinforce"}, 5.5, "-1,1"),
    "squashed": ({"actions": "box", "observations": "vector"}, {"squash": "tanh", **NARROW}, 5.5, "1,-1"),
    "explored": ({"actions": "whole", "observations": "choice"}, {"use_sde": "true", **NARROW}, 5.5, "2"),
    "episodes": ({"actions": "box", "observations": "dict"}, REINFORCE, 5.5, '{"z": -1, "a": [[0, 0]]}'),
    "images": ({"actions": "box", "observations": "image"}, NARROW, 5.5, json.dumps([[[9] * 2] * 12] * 12)),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> ModelRepository:
    return ModelRepository(tmp_path_factory.mktemp("round_trip") / "repository")


@pytest.fixture(scope="module")
def server(repository: ModelRepository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one server for all tests."""
    folder = tmp_path_factory.mktemp("server")
    command = (sys.executable, "-m", "policyd_server", "--listen", "127.0.0.1:0", "--trainer", "127.0.0.1:1")
    free = {"POLICYD_METRICS": "127.0.0.1:0"}
    process = ServiceProcess("server", [*command, "--repository", str(repository.root)], folder, free)
    yield process.address()
    assert process.stop() == 0


@pytest.mark.parametrize("policy", KINDS)
def test_train_serve_play(
    policy: str,
    repository: ModelRepository,
    server: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The policy learns its task, and plays through the server as well as the trainer found.

    Its responses are verified.
    """
    arguments, settings, least, observation = KINDS[policy]
    chosen: dict[str, Any] = {**SETTINGS, **settings, "env_kwargs": json.dumps(arguments)}
    config = resolve_config(policy, ENV, chosen.pop("algorithm", "a2c"), 1, chosen)
    options = RunOptions(repository.root, tmp_path / "run", "", Promotion())
    learned = execute(config, options, JsonReporter(io.StringIO()), lambda: False)
    assert learned.evaluation.greedy.mean > least
    with PolicyClient(server, timeout=60) as client:
        client.set_alias(policy, learned.version)

    def policyctl(*command: str) -> str:
        assert run(["--server", server, *command]) == Exit.OK
        return capsys.readouterr().out

    played = json.loads(policyctl("--json", "play", "--policy", policy, "--episodes", "10"))
    assert played["mean_return"] == pytest.approx(learned.evaluation.greedy.mean, abs=1.0)
    receipt = str(tmp_path / "receipt.json")
    policyctl("act", "--policy", policy, "--seed", "5", "--receipt", receipt, observation)
    assert "FAIL" not in policyctl("verify", receipt)
