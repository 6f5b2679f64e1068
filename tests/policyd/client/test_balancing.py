"""A name that stands for several servers: both clients share their calls out, and lose none."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from examples.stack.processes import ServiceProcess
from policy_api.v1.experience_pb2 import ExperienceConfig
from policyd import PolicyClient
from policyd.repository import ModelRepository
from tests.policyd.client.conftest import Connect
from tests.policyd.client.names import NameServer
from tests.policyd_server import artifacts

OBSERVATION = [[0.0, 0.1, 0.02, -0.3]]
CALLS = 120


class Servers:
    """Servers on several addresses of loopback and one port.

    Server n responds with version n, so that the test can tell them apart.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, "0"
        self.running: dict[int, ServiceProcess] = {}

    @property
    def port(self) -> int:
        """The port of all servers."""
        return int(self._port)

    def start(self, number: int) -> str:
        """Starts server `number`. Returns its address without the port."""
        folder = self._folder / str(number)
        described = artifacts.metadata("p", (4,), 2)
        repository = ModelRepository(folder)
        for _ in range(number):
            version = repository.publish("p", {"model.onnx": artifacts.model(described)}, metadata=described)
        repository.set_alias("p", "champion", version.version, actor="test", reason="")
        host = f"127.0.0.{number + 1}"
        command = [sys.executable, "-m", "policyd_server", "--listen", f"{host}:{self._port}"]
        command += ["--repository", str(folder), "--workers", "1"]
        self.running[number] = server = ServiceProcess(f"server-{number}", command, self._folder)
        self._port = server.address().rpartition(":")[2]
        return host

    def kill(self, number: int) -> None:
        """Ends a server by kill -9."""
        server = self.running.pop(number)
        os.killpg(server.pid, signal.SIGKILL)
        server.stop()

    def close(self) -> None:
        """Ends all servers."""
        for server in self.running.values():
            server.stop()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path)
    yield servers
    servers.close()


def assert_even(counts: Counter[int], servers: set[int]) -> None:
    """Each of the servers has its share of the calls, to within 10 %."""
    assert set(counts) == servers
    share = counts.total() / len(servers)
    assert all(abs(count - share) <= 0.1 * share for count in counts.values()), counts


def test_calls_are_shared_out_and_none_fails(servers: Servers, connect: Connect) -> None:
    """Three servers get a third of the calls each.

    Meanwhile one is killed and one is added: no call fails, and all are used.
    """
    with (
        NameServer([servers.start(number) for number in (1, 2, 3)]) as names,
        ThreadPoolExecutor(1) as beside,
    ):
        client = connect(names.target(servers.port), timeout=60)

        def versions(count: int) -> list[int]:
            return [client.act(OBSERVATION).version for _ in range(count)]

        def change() -> None:
            names.addresses = [*names.addresses[1:], servers.start(4)]
            servers.kill(1)

        while set(versions(3)) != {1, 2, 3}:  # each one is used as soon as it is connected
            pass
        assert_even(Counter(versions(CALLS)), {1, 2, 3})
        changing = beside.submit(change)
        while not changing.done():
            versions(3)
        changing.result()
        while set(versions(3)) != {2, 3, 4}:
            pass
        assert_even(Counter(versions(CALLS)), {2, 3, 4})


def test_an_episode_stays_with_one_server(servers: Servers, connect: Connect) -> None:
    """Outcomes go to the server that decided, because another one does not know the decision."""
    hosts = [servers.start(number) for number in (1, 2, 3)]
    config = ExperienceConfig(mode=ExperienceConfig.RECORD)
    for host in hosts:
        with PolicyClient(f"{host}:{servers.port}", timeout=60) as direct:
            direct.set_experience_config("p", config, reason="test")
    with NameServer(hosts) as names:
        client = connect(names.target(servers.port), timeout=60)
        while {client.act(OBSERVATION).version for _ in range(3)} != {1, 2, 3}:
            pass
        episode = client.episode("p")
        for step in range(9):
            episode.act(OBSERVATION[0])
            episode.reward(1.0, terminated=step == 8)
        episode.close()
        client.close()
    heard = []
    for host in hosts:
        with PolicyClient(f"{host}:{servers.port}", timeout=60) as direct:
            heard.append(sum(count.outcomes for count in direct.get_experience("p").by_version))
    assert sorted(heard) == [0, 0, 9]
