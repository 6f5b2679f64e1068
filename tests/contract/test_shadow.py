"""Shadows over the wire: what they compute, what they never touch, and what is refused."""

from __future__ import annotations

import json
import math
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from policy_api.v1.traffic_pb2 import Comparison
from policyd import PolicyClient
from policyd.cli.app import run
from policyd.errors import Conflict, FailedPrecondition, InvalidArgument
from policyd.repository import ModelRepository
from tests.policyd_server import artifacts
from tests.policyd_server.process import TRANSPORTS, ServerProcess
from tests.waiting import until

POLICY = "cartpole"
OTHER, FRAGILE, OTHER_SPACES = 2, 3, 4


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> ModelRepository:
    """Version 1 is the champion. Others differ, fail at elements of 100, or have other spaces."""
    repository = ModelRepository(tmp_path_factory.mktemp("shadow") / "repository")
    described = artifacts.metadata(POLICY)
    other = artifacts.metadata(POLICY, (5,))
    for metadata, model in (
        (described, artifacts.model(described, seed=0)),
        (described, artifacts.model(described, seed=1)),
        (described, artifacts.fragile(described)),
        (other, artifacts.model(other)),
    ):
        repository.publish(POLICY, {"model.onnx": model}, metadata=metadata)
    repository.set_alias(POLICY, "champion", 1, actor="test", reason="test")
    return repository


@pytest.fixture(scope="module", params=TRANSPORTS)
def server(
    request: pytest.FixtureRequest, repository: ModelRepository, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server of two worker processes, by each transport."""
    folder = tmp_path_factory.mktemp("server")
    flags = ("--workers", "2", "--transport", request.param, "--metrics", "127.0.0.1:0")
    server = ServerProcess(folder, repository.root, *flags)
    yield server
    server.stop()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[PolicyClient]:
    """A client. Before and after the test there is no shadow."""
    with PolicyClient(server.address, timeout=60) as client:
        client.set_shadow(POLICY, 0, 0.0)
        yield client
        client.set_shadow(POLICY, 0, 0.0)


def _until(client: PolicyClient, holds: Callable[[Comparison], bool]) -> Comparison:
    """Waits until the newest comparison is as expected, and returns it."""
    found: list[Comparison] = []

    def as_expected() -> bool:
        found[:] = client.compare_versions(POLICY)
        return bool(found) and holds(found[0])

    until(as_expected, lambda: found)
    return found[0]


def test_a_shadow_computes_what_was_answered(server: ServerProcess, client: PolicyClient) -> None:
    """The figures are those of both versions' responses to every request of both workers."""
    client.set_shadow(POLICY, OTHER, 1.0, reason="a look", actor="ann")
    rng = np.random.default_rng(0)
    requests = [rng.uniform(-5, 5, (rows, 4)).astype(np.float32) for rows in (1, 3, 1, 40, 7)] * 4
    mask = np.array([[True, False]])
    for observations in requests:
        with PolicyClient(server.address, timeout=60) as each:  # one connection each: both workers get some
            assert each.act(observations, policy=POLICY, seed=1).version == 1
    client.act(requests[0], policy=POLICY, action_mask=mask, temperature=0.5)
    rows = sum(map(len, requests)) + 1
    found = _until(client, lambda found: found.rows == rows)

    together = np.concatenate(requests)
    first, second = (client.act(together, policy=POLICY, version=version) for version in (1, OTHER))
    p, q = (np.float64(answer.action_probs) for answer in (first, second))
    divergence = (p * np.log(p / q)).sum(axis=1)
    assert found.divergence * rows == pytest.approx(divergence.sum(), rel=1e-3)
    assert found.largest_divergence == pytest.approx(divergence.max(), rel=1e-3)
    agreed = (p.argmax(axis=1) == q.argmax(axis=1)).sum() + 1  # the mask leaves one action
    assert found.agreement == pytest.approx(agreed / rows)
    assert 0 < found.agreement < 1
    assert found.base.entropy * rows == pytest.approx(-(p * np.log(p)).sum(), rel=1e-3)
    assert found.shadow.entropy * rows == pytest.approx(-(q * np.log(q)).sum(), rel=1e-3)
    values = [
        np.append(_values(client, together, version), _values(client, requests[0], version))
        for version in (1, OTHER)
    ]
    assert found.base.value == pytest.approx(values[0].mean(), rel=1e-3)
    assert found.value_difference == pytest.approx(np.abs(values[1] - values[0]).mean(), rel=1e-3)
    assert (found.requests, found.failures, found.dropped) == (len(requests) + 1, 0, 0)
    assert 0 < found.shadow.mean_latency < found.shadow.p99_latency * 1.2


def _values(client: PolicyClient, observations: np.ndarray, version: int) -> np.ndarray:
    values = client.act(observations, policy=POLICY, version=version).values
    assert values is not None
    return values


def test_a_shadow_that_fails_fails_nobody(client: PolicyClient) -> None:
    """The champion responds. The shadow's failure is counted and described."""
    client.set_shadow(POLICY, FRAGILE, 1.0)
    observations = np.array([[0, 0, 0, 200]], np.float32)
    for _ in range(5):
        assert client.act(observations, policy=POLICY).version == 1
    client.act(np.zeros((1, 4), np.float32), policy=POLICY)
    found = _until(client, lambda found: found.requests + found.failures == 6)
    assert (found.failures, found.requests) == (5, 1)
    assert found.last_failure
    assert found.divergence == pytest.approx(0, abs=1e-6)  # it has the champion's own weights


def test_a_share_of_the_requests(client: PolicyClient) -> None:
    """About a third is computed. Raising the share continues the same comparison."""
    client.set_shadow(POLICY, OTHER, 0.3)
    for _ in range(300):
        client.act(np.zeros((1, 4), np.float32), policy=POLICY)
    client.set_shadow(POLICY, OTHER, 1.0)
    client.act(np.zeros((17, 4), np.float32), policy=POLICY)
    found = _until(client, lambda found: found.rows > found.requests)
    assert 50 < found.requests - 1 < 130  # 5 standard deviations
    assert found.share == 1.0


def test_metrics_show_it(server: ServerProcess, client: PolicyClient) -> None:
    """Prometheus gets the figures of all workers. The share is 0 when the shadow has ended."""
    client.set_shadow(POLICY, OTHER, 1.0)
    client.act(np.zeros((9, 4), np.float32), policy=POLICY)
    _until(client, lambda found: found.rows == 9)
    pattern = (
        f'policyd_shadow_%s{{alias="champion",base_version="1",policy="{POLICY}"%s,version="{OTHER}"}} (.*)'
    )

    def sample(name: str, role: str = "") -> float:
        found = re.search(pattern % (name, role), _metrics(server))
        return float(found[1]) if found else math.nan

    until(lambda: sample("rows") == 9)
    assert sample("share") == 1.0
    assert sample("agreement") in (0.0, 1.0)
    assert sample("divergence_nats") > 0
    assert sample("latency_seconds", ',role="shadow"') > 0
    client.set_shadow(POLICY, 0, 0.0)
    until(lambda: sample("share") == 0.0)


def _metrics(server: ServerProcess) -> str:
    port = re.search(r"metrics on [^ ]*:(\d+)", server.log)
    assert port is not None, server.log
    with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/metrics", timeout=60) as response:
        text: str = response.read().decode()
    return text


def test_what_cannot_be_a_shadow_is_refused(client: PolicyClient) -> None:
    """Other spaces, the alias's own version, a bad share and an old generation are refused."""
    before = client.get_traffic(POLICY)
    with pytest.raises(FailedPrecondition, match="other observations"):
        client.set_shadow(POLICY, OTHER_SPACES, 0.5)
    with pytest.raises(InvalidArgument, match="version"):
        client.set_shadow(POLICY, 1, 0.5)
    with pytest.raises(InvalidArgument, match="share"):
        client.set_shadow(POLICY, OTHER, 1.5)
    with pytest.raises(Conflict):
        client.set_shadow(POLICY, OTHER, 0.5, expected_generation=before.generation + 7)
    assert client.get_traffic(POLICY) == before


def test_policyctl_starts_compares_and_stops(
    server: ServerProcess, client: PolicyClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """`shadow start`, `compare` and `shadow stop` work. History has who and why."""
    command = ["--server", server.address]
    assert (
        run([*command, "shadow", "start", "2", "--share", "100%", "--actor", "ann", "--reason", "why"]) == 0
    )
    assert "champion: version 2 is a shadow, share 1" in capsys.readouterr().out
    client.act(np.zeros((2, 4), np.float32), policy=POLICY)
    _until(client, lambda found: found.rows == 2)
    assert run([*command, "compare"]) == 0
    assert "the same most probable action in" in capsys.readouterr().out
    assert run([*command, "--json", "compare"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["rows"] == 2
    assert run([*command, "shadow", "stop"]) == 0
    change = client.get_traffic(POLICY).history[-2]
    assert (change.actor, change.reason, change.shadow.version) == ("ann", "why", 2)
    assert run([*command, "compare"]) == 0
    assert "ended" in capsys.readouterr().out


def test_a_policy_without_a_shadow_has_nothing_to_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says what to do."""
    repository = ModelRepository(tmp_path / "repository")
    described = artifacts.metadata(POLICY)
    repository.publish(POLICY, {"model.onnx": artifacts.model(described)}, metadata=described)
    repository.set_alias(POLICY, "champion", 1, actor="test", reason="test")
    server = ServerProcess(tmp_path, repository.root)
    try:
        assert run(["--server", server.address, "compare"]) != 0
        assert "policyctl shadow start VERSION" in capsys.readouterr().err
    finally:
        server.stop()
