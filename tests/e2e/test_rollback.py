"""Rolling back in the middle of the night: no trainer, several servers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from examples.stack.processes import ServiceProcess
from policyd import PolicyClient
from policyd.cli.app import run
from policyd.cli.exits import Exit
from policyd.repository import ModelRepository
from tests.policyd_server.artifacts import metadata, model
from tests.waiting import until

POLL_INTERVAL = "3600"  # seconds; the servers follow each other by watching the repository
STATE = np.zeros((1, 4), np.float32)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[str]]:
    """Two servers with one repository. It has versions 1 and 2; 2 is the champion.

    Their trainer is not running.
    """
    repository = ModelRepository(tmp_path / "repository")
    for seed in (1, 2):
        described = metadata("cartpole")
        version = repository.publish(
            "cartpole", {"model.onnx": model(described, seed=seed)}, metadata=described
        )
        repository.set_alias("cartpole", "champion", version.version, actor="setup", reason="first")
    command = [sys.executable, "-m", "policyd_server", "--listen", "127.0.0.1:0", "--trainer", "127.0.0.1:1"]
    command += ["--repository", str(repository.root)]
    free = {"POLICYD_METRICS": "127.0.0.1:0", "POLICYD_POLL_INTERVAL": POLL_INTERVAL}
    running = [ServiceProcess(name, command, tmp_path, free) for name in ("first", "second")]
    yield [process.address() for process in running]
    assert [process.stop() for process in running] == [0, 0]


def _until_it_answers_with(client: PolicyClient, version: int) -> None:
    until(lambda: client.act(STATE, policy="cartpole").version == version)


def test_it_reaches_every_server(servers: list[str]) -> None:
    """After a rollback on one server, both use the version before. Who, when and why is kept."""
    with PolicyClient(servers[0], timeout=60) as first, PolicyClient(servers[1], timeout=60) as second:
        for _ in range(3):
            for client in (first, second):
                _until_it_answers_with(client, 2)
            command = ["rollback", "--policy", "cartpole", "--actor", "ann", "--reason", "worse at night"]
            assert run(["--server", servers[0], *command]) == Exit.OK
            assert first.act(STATE, policy="cartpole").version == 1
            _until_it_answers_with(second, 1)
            change = second.get_policy("cartpole").aliases[0].history[-1]
            first.set_alias("cartpole", 2)
    assert (change.version, change.actor, change.reason) == (1, "ann", "worse at night")
    assert change.Kind.Name(change.kind) == "KIND_ROLLBACK"
    assert abs(change.change_time.ToSeconds() - time.time()) < 60
