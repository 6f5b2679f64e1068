"""A real server process with its stubs.

Fixtures start one on a repository of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from policy_api.v1 import policy_pb2_grpc, training_pb2_grpc
from policyd.repository import ModelRepository, PublishedVersion
from policyd_server import front
from tests.policyd_server import artifacts

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT = 60.0  # seconds; the machine is shared


class ServerProcess:
    """`policyd-server` in a process of its own."""

    def __init__(self, directory: Path, repository: Path | str, *flags: str) -> None:
        self._port_file = directory / "policyd_server.port"
        self.log_path = directory / "policyd_server.log"
        arguments = ["--listen", "127.0.0.1:0", "--port-file", str(self._port_file)]
        arguments += ["--repository", str(repository), "--poll-interval", "0.1", "--workers", "1"]
        # At the default address a trainer could run that belongs to somebody else.
        arguments += ["--trainer", "127.0.0.1:1", *flags]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "policyd_server", *arguments],
                stderr=log,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
            )
        self.killed = False
        self.may_fail = False  # whether the test makes it log an unexpected error
        self.address = self._await_address()
        self.channel = grpc.insecure_channel(self.address)
        self.policy = policy_pb2_grpc.PolicyServiceStub(self.channel)
        self.training = training_pb2_grpc.TrainingServiceStub(self.channel)

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_path.read_text()

    def stop(self) -> int:
        """Sends SIGTERM. Returns the exit code."""
        self.channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """Sends SIGKILL, as the test wants."""
        self.killed = True
        self.channel.close()
        self.process.kill()
        self.process.wait(60)

    def _await_address(self) -> str:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if self._port_file.exists():
                return self._port_file.read_text().strip()
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}: {self.log}")
            time.sleep(0.01)  # another process writes the file: there is no event to wait for
        self.process.kill()
        raise RuntimeError(f"the server did not start: {self.log}")


StartServer = Callable[..., ServerProcess]
Publish = Callable[..., PublishedVersion]


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "repository")


@pytest.fixture
def publish(repository: ModelRepository) -> Publish:
    """Publishes another random policy. `promote` makes it the champion."""

    def publish(policy: str = "cartpole", *, promote: bool = True, **shape: object) -> PublishedVersion:
        seed = len(repository.versions(policy)) if policy in repository.policies() else 0
        described = artifacts.metadata(policy, **shape)  # type: ignore[arg-type]  # the callers' words
        model = artifacts.model(described, seed=seed)
        published = repository.publish(policy, {"model.onnx": model}, metadata=described)
        if promote:
            repository.set_alias(policy, "champion", published.version, actor="test", reason="test")
        return published

    return publish


needs_front = pytest.mark.skipif(not front.AVAILABLE, reason="the front is not compiled: make -B install")
# With the front compiled, tests on grpcio run in `make test-long`: they take the same time again.
TRANSPORTS = [
    pytest.param("front", marks=needs_front),
    pytest.param("grpcio", marks=[pytest.mark.long] if front.AVAILABLE else []),
]


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Each test of the contract runs with both transports."""
    transport: str = request.param
    return transport


@pytest.fixture
def start_server(tmp_path: Path, repository: ModelRepository, transport: str) -> Iterator[StartServer]:
    """Starts servers on the repository. All end with the test, without errors."""
    servers: list[ServerProcess] = []

    def start(*flags: str) -> ServerProcess:
        directory = tmp_path / f"server{len(servers)}"
        directory.mkdir()
        servers.append(ServerProcess(directory, repository.root, "--transport", transport, *flags))
        return servers[-1]

    yield start
    assert not any(server.stop() for server in servers if not server.killed)
    assert not any("Traceback" in server.log for server in servers if not server.may_fail)
