"""/metrics of a real server: what it says after calls, of one process and of several."""

from __future__ import annotations

import re
import urllib.request

import grpc
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from policy_api.v1.policy_pb2 import ActRequest, FloatArray
from policyd.repository import ModelRepository
from tests.policyd_server.compiled.needed import needs_compiler
from tests.policyd_server.process import Publish, ServerProcess, StartServer
from tests.waiting import until

ACT = {"grpc_service": "policy_api.v1.PolicyService", "grpc_method": "Act"}
VERSION = {"policy": "cartpole", "version": "1"}
SECRET = 1234.5678  # an observation that must not appear anywhere


def scrape(server: ServerProcess) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by name and labels."""
    found = re.search(r"metrics on (http://\S+)", server.log)
    assert found is not None
    with urllib.request.urlopen(found[1], timeout=60) as answer:
        text = answer.read().decode()
    assert str(SECRET) not in text
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(server: ServerProcess, name: str, **labels: str) -> float:
    """One sample; 0 if there is none."""
    return scrape(server).get((name, frozenset(labels.items())), 0.0)


def await_value(server: ServerProcess, wanted: float, name: str, **labels: str) -> None:
    """Waits until a sample has this value. Metrics are updated once per second."""
    until(lambda: value(server, name, **labels) == wanted, lambda: value(server, name, **labels))


def act(server: ServerProcess, rows: int, elements: int = 4, *, deterministic: bool = False) -> None:
    """Asks for actions."""
    raw = FloatArray(raw=np.full((rows, elements), SECRET, np.float32).tobytes())
    server.policy.Act(ActRequest(policy="cartpole", observations=raw, deterministic=deterministic))


@pytest.mark.parametrize("flags", [(), ("--workers", "2")])
def test_calls_are_counted(start_server: StartServer, publish: Publish, flags: tuple[str, ...]) -> None:
    """There are counts by method, code, policy and version; rows, batches, actions, entropy.

    Workers are summed.
    """
    publish()
    server = start_server("--metrics", "127.0.0.1:0", *flags)
    for _ in range(10):
        act(server, 1)
    act(server, 100, deterministic=True)  # requests that are not plain go through the queue
    with pytest.raises(grpc.RpcError):
        act(server, 1, elements=3)
    await_value(server, 11, "grpc_server_handled_total", grpc_code="OK", **ACT)
    await_value(server, 1, "grpc_server_handled_total", grpc_code="INVALID_ARGUMENT", **ACT)
    await_value(server, 12, "grpc_server_handling_seconds_count", **ACT)
    await_value(server, 11, "policyd_policy_requests_total", **VERSION)
    await_value(server, 110, "policyd_policy_rows_total", **VERSION)
    assert value(server, "policyd_batch_rows_count") == 11
    assert value(server, "policyd_compute_seconds_count") == 11
    assert value(server, "policyd_policy_seconds_count", **VERSION) == 11
    assert value(server, "policyd_queue_seconds_count") >= 1
    assert value(server, "policyd_alias_version", policy="cartpole", alias="champion") == 1
    assert value(server, "policyd_entropy_nats_count", **VERSION) >= 1
    sampled = [value(server, "policyd_sampled_actions_total", action=str(a), **VERSION) for a in (0, 1)]
    assert sum(sampled) == value(server, "policyd_entropy_nats_count", **VERSION)
    assert str(SECRET) not in server.log


@needs_compiler
def test_plain_requests_do_not_queue(start_server: StartServer, publish: Publish) -> None:
    """Only the first one does, because its header is not known yet."""
    publish()
    server = start_server("--metrics", "127.0.0.1:0")
    for _ in range(10):
        act(server, 1)
    await_value(server, 10, "policyd_policy_requests_total", **VERSION)
    assert value(server, "policyd_queue_seconds_count") == 1


def test_versions_and_failures_are_told(
    start_server: StartServer, publish: Publish, repository: ModelRepository
) -> None:
    """A promotion changes the alias's version. A version that cannot be loaded is a failure."""
    publish()
    server = start_server("--metrics", "127.0.0.1:0")
    publish()
    await_value(server, 2, "policyd_alias_version", policy="cartpole", alias="champion")
    assert value(server, "policyd_policy_reloads_total", policy="cartpole") == 2
    assert value(server, "policyd_policy_load_failures_total", policy="cartpole") == 0
    broken = publish(promote=False)
    (repository.root / broken.path / "model.onnx").write_bytes(b"torn")
    repository.set_alias("cartpole", "champion", broken.version, actor="test", reason="test")
    until(lambda: value(server, "policyd_policy_load_failures_total", policy="cartpole") >= 1)
    assert value(server, "policyd_alias_version", policy="cartpole", alias="champion") == 2


def test_without_the_setting_nothing_is_measured(start_server: StartServer, publish: Publish) -> None:
    """Without it no port is opened."""
    publish()
    server = start_server()
    act(server, 1)
    assert "metrics on" not in server.log
