"""Rolling back in the middle of the night: no trainer, several servers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from examples.stack.processes import ServiceProcess
from policyctl import PolicyClient
from policyctl.__main__ import run
from policyctl.exits import Exit
from repository import ModelRepository
from tests.server.artifacts import metadata, model

# Seconds until the test gives up. What is promised is 2; the test records what it took, because a machine
# under load is no reason to fail.
PATIENCE = 30.0
STATE = np.zeros((1, 4), np.float32)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[str]]:
    """Two servers over one repository with versions 1 and 2, champion 2; their trainer is not there."""
    repository = ModelRepository(tmp_path / "repository")
    for seed in (1, 2):
        described = metadata("cartpole")
        version = repository.publish(
            "cartpole", {"model.onnx": model(described, seed=seed)}, metadata=described
        )
        repository.set_alias("cartpole", "champion", version.version, actor="setup", reason="first")
    command = [sys.executable, "-m", "server", "--listen", "127.0.0.1:0", "--trainer", "127.0.0.1:1"]
    command += ["--repository", str(repository.root)]
    free = {"POLICYD_METRICS": "127.0.0.1:0"}
    running = [ServiceProcess(name, command, tmp_path, free) for name in ("first", "second")]
    yield [process.address() for process in running]
    assert [process.stop() for process in running] == [0, 0]


def test_it_reaches_every_server(servers: list[str], record_property: Callable[[str, object], None]) -> None:
    """Rolled back at one server, both answer with the version before; who, when and why is kept."""
    with PolicyClient(servers[0]) as first, PolicyClient(servers[1]) as second:
        assert [c.act(STATE, policy="cartpole").version for c in (first, second)] == [2, 2]
        command = ["rollback", "--policy", "cartpole", "--actor", "ann", "--reason", "worse at night"]
        assert run(["--server", servers[0], *command]) == Exit.OK
        told = time.monotonic()
        assert first.act(STATE, policy="cartpole").version == 1
        while second.act(STATE, policy="cartpole").version != 1:
            assert time.monotonic() - told < PATIENCE, "the second server still answers with version 2"
        record_property("seconds_until_the_second_server_followed", time.monotonic() - told)
        change = second.get_policy("cartpole").aliases[0].history[-1]
    assert (change.version, change.actor, change.reason) == (1, "ann", "worse at night")
    assert change.Kind.Name(change.kind) == "KIND_ROLLBACK"
    assert abs(change.change_time.ToSeconds() - time.time()) < 60
