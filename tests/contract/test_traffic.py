"""Shares of an alias, over the wire: who is answered by which version, and what is refused."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from policy_api.v1 import policy_pb2
from policy_api.v1.traffic_pb2 import TrafficShare
from policyd import PolicyClient
from policyd.cli.app import run
from policyd.errors import Conflict, FailedPrecondition, InvalidArgument, NotFound
from policyd.repository import ModelRepository
from tests.policyd_server import artifacts
from tests.policyd_server.process import ServerProcess

POLICY = "cartpole"
STATE = np.zeros((1, 4), np.float32)
REQUESTS = 400


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> ModelRepository:
    """Versions 1 and 2 of one policy, and 3, which takes other observations; champion is 1."""
    repository = ModelRepository(Path(tmp_path_factory.mktemp("traffic")) / "repository")
    for seed, shape in ((0, (4,)), (1, (4,)), (2, (5,))):
        described = artifacts.metadata(POLICY, shape)
        model = artifacts.model(described, seed=seed)
        repository.publish(POLICY, {"model.onnx": model}, metadata=described)
    repository.set_alias(POLICY, "champion", 1, actor="test", reason="test")
    return repository


@pytest.fixture(scope="module")
def servers(
    repository: ModelRepository, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ServerProcess]]:
    """A server of two worker processes, and one more server over the same repository."""
    folders = [tmp_path_factory.mktemp("server") for _ in range(2)]
    running = [
        ServerProcess(folders[0], repository.root, "--workers", "2"),
        ServerProcess(folders[1], repository.root, "--poll-interval", "0.1"),
    ]
    yield running
    for server in running:
        server.stop()


@pytest.fixture
def clients(servers: list[ServerProcess]) -> Iterator[list[PolicyClient]]:
    """A client for each server. Before and after, the alias has only its own version."""
    found = [PolicyClient(server.address, timeout=60) for server in servers]
    yield found
    found[0].set_traffic(POLICY, [], reason="the test ends")
    for client in found:
        client.close()


def share(version: int = 2, part: float = 0.25) -> list[TrafficShare]:
    return [TrafficShare(version=version, share=part)]


def test_requests_without_a_key_are_dealt_by_share(clients: list[PolicyClient]) -> None:
    """Version 2 gets about a quarter, from every worker, and receipts name the version."""
    clients[0].set_traffic(POLICY, share())
    asked = 10 * REQUESTS  # requests within 0.2 ms get one version together, so fewer of them are independent
    counts = Counter(clients[0].act(STATE, policy=POLICY).version for _ in range(asked))
    assert counts[1] + counts[2] == asked
    assert 0.15 < counts[2] / asked < 0.35  # 6 standard deviations if 6 requests get one version together


def test_a_key_has_one_version_everywhere(clients: list[PolicyClient]) -> None:
    """Every worker of every server deals the same version to a key."""
    clients[0].set_traffic(POLICY, share())
    _until_followed(clients)
    dealt = {}
    for i in range(200):
        key = f"user-{i}"
        versions = {c.act(STATE, policy=POLICY, traffic_key=key).version for c in clients for _ in range(2)}
        assert len(versions) == 1
        dealt[key] = versions.pop()
    assert 0.1 < list(dealt.values()).count(2) / 200 < 0.4
    clients[0].set_traffic(POLICY, share(part=0.5))
    for key, version in dealt.items():
        if version == 2:  # a key that has the version keeps it when the share rises
            assert clients[0].act(STATE, policy=POLICY, traffic_key=key).version == 2


def _until_followed(clients: list[PolicyClient]) -> None:
    """Waits until another server uses the first one's shares, within its polling interval.

    It must be the new shares: it may still have those of the test before.
    """
    keys = [f"user-{i}" for i in range(40)]
    for _ in range(500):
        dealt = [
            [client.act(STATE, policy=POLICY, traffic_key=key).version for key in keys] for client in clients
        ]
        if dealt[0] == dealt[1] and 2 in dealt[0]:
            return
    raise AssertionError("the other server does not deal as the first does")


def test_an_episode_never_mixes_versions(servers: list[ServerProcess], clients: list[PolicyClient]) -> None:
    """The hash of the episode decides: on the fast path, on protobuf's, and in streams."""
    clients[0].set_traffic(POLICY, share(part=0.5))
    seen = set()
    for _ in range(20):
        episode = str(uuid.uuid4())
        versions = set()
        for step in range(6):
            decision = policy_pb2.Decision(episode_id=episode, step=step, subject="s" * (step * 20))
            request = policy_pb2.ActRequest(
                policy=POLICY, decisions=[decision], observations=policy_pb2.FloatArray(raw=STATE.tobytes())
            )
            versions.add(servers[0].policy.Act(request, timeout=60).version)
            stream = servers[0].policy.StreamAct(
                iter([policy_pb2.StreamActRequest(request=request)]), timeout=60
            )
            versions.add(next(iter(stream)).response.version)
            del request.decisions[:]
            request.traffic_key = episode
            versions.add(servers[0].policy.Act(request, timeout=60).version)
        assert len(versions) == 1
        seen |= versions
    assert seen == {1, 2}


def test_what_is_no_share_is_refused(clients: list[PolicyClient]) -> None:
    """Bad shares, a share of the own version, and unknown or unfit versions are refused."""
    client = clients[0]
    before = client.get_traffic(POLICY)
    for shares in (share(part=0), share(part=1.5), share(1), [*share(2, 0.6), *share(3, 0.6)], share(2) * 2):
        with pytest.raises(InvalidArgument, match="shares"):
            client.set_traffic(POLICY, shares)
    with pytest.raises(NotFound):
        client.set_traffic(POLICY, share(99))
    with pytest.raises(FailedPrecondition, match="other observations"):
        client.set_traffic(POLICY, share(3))
    with pytest.raises(Conflict):
        client.set_traffic(POLICY, share(), expected_generation=before.generation + 7)
    with pytest.raises(InvalidArgument, match="traffic_key"):
        client.act(STATE, policy=POLICY, traffic_key="k" * 129)
    assert client.get_traffic(POLICY) == before


def test_a_damaged_version_is_refused(repository: ModelRepository, clients: list[PolicyClient]) -> None:
    """Shares of a version whose bytes have changed since publication are refused."""
    described = artifacts.metadata(POLICY)
    model = artifacts.model(described, seed=9)
    version = repository.publish(POLICY, {"model.onnx": model}, metadata=described).version
    path = repository.root / "models" / POLICY / str(version) / "model.onnx"
    path.chmod(0o644)
    path.write_bytes(model[:-1] + b"x")
    with pytest.raises(FailedPrecondition, match="damaged"):
        clients[0].set_traffic(POLICY, share(version))
    assert not clients[0].get_traffic(POLICY).aliases


def test_policyctl_shows_and_sets(
    servers: list[ServerProcess], clients: list[PolicyClient], capsys: pytest.CaptureFixture[str]
) -> None:
    """`traffic set 2=25%` and `traffic show` work, and the way back. Who and why are kept."""
    command = ["--server", servers[0].address, "--json", "traffic"]
    assert run([*command, "set", "2=25%", "--reason", "a look", "--actor", "ann"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["aliases"][0]["shares"] == [{"version": 2, "share": 0.25}]
    assert (found["history"][-1]["actor"], found["history"][-1]["reason"]) == ("ann", "a look")
    assert run(["--server", servers[0].address, "traffic", "show"]) == 0
    assert "champion: version 2 0.25, its own version 0.75" in capsys.readouterr().out
    assert run([*command, "set"]) == 0
    assert not clients[0].get_traffic(POLICY).aliases
