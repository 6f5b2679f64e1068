"""A canary with real clients: a server of two processes, which restarts in the middle."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from policy_api.v1 import experience_pb2, policy_pb2, traffic_pb2
from policyd import PolicyClient
from policyd.cli.app import run
from policyd.errors import FailedPrecondition
from policyd.repository import ModelRepository
from tests.policyd_server import artifacts
from tests.policyd_server.process import ServerProcess
from tests.waiting import until

POLICY = "cartpole"
STATE = np.zeros((1, 4), "<f4")
CLIENTS = 3


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """Versions 1 and 2, where 1 is the champion."""
    repository = ModelRepository(tmp_path / "repository")
    for seed in (0, 1):
        described = artifacts.metadata(POLICY)
        model = artifacts.model(described, seed=seed)
        repository.publish(POLICY, {"model.onnx": model}, metadata=described)
    repository.set_alias(POLICY, "champion", 1, actor="test", reason="test")
    return repository


@pytest.fixture
def start(tmp_path: Path, repository: ModelRepository) -> Iterator[Callable[[], ServerProcess]]:
    """Starts a server of two processes."""
    running: list[ServerProcess] = []

    def start() -> ServerProcess:
        folder = tmp_path / f"server-{len(running)}"
        folder.mkdir()
        running.append(ServerProcess(folder, repository.root, "--workers", "2"))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@contextmanager
def world(server: ServerProcess, worth: float) -> Iterator[Counter[int]]:
    """Clients play episodes of one step. Version 2 returns `worth` more than version 1.

    Every tenth episode is given up. Yields how many episodes each version began.
    """
    begun: Counter[int] = Counter()
    stop = threading.Event()

    def play(seed: int) -> None:
        rng = np.random.default_rng(seed)
        with PolicyClient(server.address, timeout=60) as client:
            while not stop.is_set():
                episode = str(uuid.uuid4())
                request = policy_pb2.ActRequest(
                    policy=POLICY,
                    observations=policy_pb2.FloatArray(raw=STATE.tobytes()),
                    decisions=[policy_pb2.Decision(episode_id=episode)],
                )
                try:
                    version = server.policy.Act(request, timeout=60).version
                    end = experience_pb2.ABANDONED if rng.random() < 0.1 else experience_pb2.TERMINATED
                    reward = rng.normal(worth * (version == 2), 1)
                    outcome = experience_pb2.Outcome(episode_id=episode, reward=reward, end=end)
                    begun[version] += 1
                    client.report_outcomes([outcome], policy=POLICY)
                except Exception:  # noqa: BLE001  the server is restarting
                    stop.wait(0.05)

    threads = [threading.Thread(target=play, args=(seed,)) for seed in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield begun
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _record(client: PolicyClient) -> None:
    config = experience_pb2.ExperienceConfig(mode=experience_pb2.ExperienceConfig.RECORD)
    config.silence.FromSeconds(2)
    client.set_experience_config(POLICY, config)


def _canary(client: PolicyClient) -> traffic_pb2.Canary:
    return client.get_traffic(POLICY).canary


def _only_the_champion_answers(begun: Counter[int]) -> bool:
    """Checks that the champion gets the next hundred episodes, and all that begin meanwhile."""
    before = begun.copy()
    until(lambda: begun[1] > before[1] + 100)
    return begun[2] == before[2]


def test_a_worse_version_loses_its_share(
    start: Callable[[], ServerProcess], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The version is removed soon, with a reason, and the champion gets all requests."""
    server = start()
    command = ["--server", server.address]
    with PolicyClient(server.address, timeout=60) as client:
        with pytest.raises(FailedPrecondition, match="records no experience"):
            client.start_canary(POLICY, 2)
        _record(client)
        with world(server, worth=-3) as begun:
            assert run([*command, "canary", "start", "2", "--share", "30%", "--actor", "ann"]) == 0
            with pytest.raises(FailedPrecondition, match="already"):
                client.start_canary(POLICY, 2)
            with pytest.raises(FailedPrecondition, match="cancel it first"):
                client.set_traffic(POLICY, [])
            until(lambda: _canary(client).state != traffic_pb2.Canary.RUNNING)
            until(lambda: _only_the_champion_answers(begun))
        found = client.get_traffic(POLICY)
        assert found.canary.state == traffic_pb2.Canary.ROLLED_BACK
        assert "mean return differs by -" in found.canary.reason
        assert found.canary.actor == "ann"
        assert not found.aliases
        assert client.get_policy(POLICY).aliases[0].version == 1
        picture = tmp_path / "canary.png"
        assert run([*command, "canary", "status", "--picture", str(picture)]) == 0
        assert "ROLLED_BACK" in capsys.readouterr().out
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_better_version_is_promoted_across_a_restart(start: Callable[[], ServerProcess]) -> None:
    """The server ends during the canary. The next one continues from the records and promotes.

    The version is better only after the restart: before it, a few episodes would promote it at
    once.
    """
    server = start()
    with PolicyClient(server.address, timeout=60) as client:
        _record(client)
        config = traffic_pb2.CanaryConfig(share=0.1, up_to=0.5, step_episodes=5)
        client.start_canary(POLICY, 2, config)
        with world(server, worth=0):
            until(lambda: _canary(client).share > 0.1)
        before = _canary(client)
        assert before.state == traffic_pb2.Canary.RUNNING
    assert server.stop() == 0
    server = start()
    with PolicyClient(server.address, timeout=60) as client, world(server, worth=2):
        until(lambda: _canary(client).state != traffic_pb2.Canary.RUNNING)
        found = client.get_traffic(POLICY)
        assert found.canary.state == traffic_pb2.Canary.PROMOTED
        assert found.canary.start_time == before.start_time
        assert found.canary.challenger.episodes > 20
        alias = client.get_policy(POLICY).aliases[0]
        assert (alias.version, alias.history[-1].actor) == (2, "canary")
        assert not found.aliases


def test_a_canary_is_cancelled_at_any_moment(start: Callable[[], ServerProcess]) -> None:
    """The share is gone when the call returns. Moving the alias cancels the canary, too."""
    server = start()
    with PolicyClient(server.address, timeout=60) as client:
        _record(client)
        client.start_canary(POLICY, 2)
        found = client.cancel_canary(POLICY, actor="bob", reason="enough")
        assert (found.canary.state, found.canary.reason) == (traffic_pb2.Canary.CANCELLED, "enough")
        assert not found.aliases
        with pytest.raises(FailedPrecondition):
            client.cancel_canary(POLICY)
        client.start_canary(POLICY, 2, traffic_pb2.CanaryConfig(share=1.0))
        client.set_alias(POLICY, 2)
        until(lambda: _canary(client).state == traffic_pb2.Canary.PROMOTED)
