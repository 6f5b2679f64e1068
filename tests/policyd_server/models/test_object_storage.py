"""A real server on a real server of object storage."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from policy_api.v1 import policy_pb2 as pb
from policyd.repository import ModelRepository
from policyd.repository.cached import LISTING_SECONDS
from tests.flawed_proxy import FlawedProxy
from tests.policyd_server import artifacts
from tests.policyd_server.process import ServerProcess
from tests.stores import StoreServer
from tests.waiting import until

REQUESTS_OF_A_MISS = 16  # most requests to the store for all unknown names of one kind
REQUEST = pb.ActRequest(policy="cartpole", observations=pb.FloatArray(values=[0, 0, 0, 0]))


def _publish(repository: ModelRepository, seed: int) -> None:
    described = artifacts.metadata("cartpole")
    model = artifacts.model(described, seed=seed)
    version = repository.publish("cartpole", {"model.onnx": model}, metadata=described).version
    repository.set_alias("cartpole", "champion", version, actor="", reason="")


def _await_version(server: ServerProcess, version: int) -> None:
    until(lambda: server.policy.Act(REQUEST, timeout=60).version == version, lambda: server.log)


def test_promotions_are_followed_and_an_outage_is_survived(
    store: StoreServer, proxy: FlawedProxy, tmp_path: Path
) -> None:
    """Promotions by others and by this server count, also after a restart without the store."""
    repository = ModelRepository(store.location())
    _publish(repository, 1)
    where = proxy.location(repository.location)
    flags = ["--poll-interval", "1", "--cache", str(tmp_path / "cache")]

    def start(name: str) -> ServerProcess:
        (tmp_path / name).mkdir()
        return ServerProcess(tmp_path / name, where, *flags)

    first = start("first")
    _publish(repository, 2)
    _await_version(first, 2)
    first.policy.SetAlias(pb.SetAliasRequest(version=1), timeout=60)
    assert repository.aliases("cartpole").aliases == {"champion": 1}
    assert first.policy.Act(REQUEST, timeout=60).version == 1
    proxy.away = True
    second = start("second")
    for server in (first, second):
        assert server.policy.Act(REQUEST, timeout=60).version == 1
    proxy.away = False
    _publish(repository, 3)
    for server in (first, second):
        _await_version(server, 3)
        assert server.stop() == 0
        assert store.secret not in server.log
        assert "Traceback" not in server.log
    assert "cannot be reached" in second.log


class Replica:
    """A server with its own proxy and cache, as on a machine of its own."""

    def __init__(self, folder: Path, store: StoreServer, location: str) -> None:
        self.proxy = FlawedProxy(store.port)
        folder.mkdir()
        where = self.proxy.location(location)
        flags = ("--poll-interval", "1", "--cache", str(folder / "cache"))
        self.server = ServerProcess(folder, where, *flags)

    @property
    def requests(self) -> int:
        """How many requests the store has got until now."""
        return sum(self.proxy.requests.values())

    def seconds_until(self, version: int, began: float) -> float:
        """The seconds from `began` until the server responds with the version."""
        _await_version(self.server, version)
        return time.monotonic() - began


@pytest.mark.long
def test_replicas_follow_a_promotion_and_poll_little(store: StoreServer, tmp_path: Path) -> None:
    """Measures what a poll and a promotion cost three replicas, beside twenty other policies.

    Polling is at most one listing per second and nothing else. A promotion costs a few requests for
    the policy that changed, and none for the others. The seconds are printed.
    """
    repository = ModelRepository(store.location())
    for number in range(20):
        described = artifacts.metadata(f"other-{number}")
        files = {"model.onnx": artifacts.model(described, seed=number)}
        repository.publish(f"other-{number}", files, metadata=described)
    for seed in (1, 2):
        _publish(repository, seed)
    replicas = [Replica(tmp_path / name, store, repository.location) for name in "abc"]
    try:
        began, before = time.monotonic(), [replica.proxy.requests.copy() for replica in replicas]
        time.sleep(5)  # the polls in this time are measured
        for replica, start in zip(replicas, before, strict=True):
            idle = replica.proxy.requests - start
            assert idle.keys() == {"LIST"}
            assert idle["LIST"] <= 1 + (time.monotonic() - began) / LISTING_SECONDS
        waited: list[float] = []
        cost: list[float] = []
        for promotion in range(6):
            version = 1 + promotion % 2
            at_start = [replica.requests for replica in replicas]
            repository.set_alias("cartpole", "champion", version, actor="", reason="")
            began = time.monotonic()
            with ThreadPoolExecutor(len(replicas)) as pool:
                waited += pool.map(lambda r: r.seconds_until(version, began), replicas)  # noqa: B023
            polls = 1 + (time.monotonic() - began) / LISTING_SECONDS
            cost += [r.requests - n - polls for r, n in zip(replicas, at_start, strict=True)]
        print(  # noqa: T201
            f"promotion to service on {len(replicas)} replicas: median {statistics.median(waited):.2f} s, "
            f"longest {max(waited):.2f} s of {len(waited)}; requests beside polls: at most {max(cost):.0f}"
        )
        assert max(cost) <= 12
    finally:
        for replica in replicas:
            assert replica.server.stop() == 0
            replica.proxy.close()


def test_a_new_policy_is_found_before_the_next_listing(
    store: StoreServer, proxy: FlawedProxy, tmp_path: Path
) -> None:
    """A client that names it gets a response. Unknown names cost few requests."""
    repository = ModelRepository(store.location())
    where = proxy.location(repository.location)
    server = ServerProcess(tmp_path, where, "--poll-interval", "3600", "--cache", str(tmp_path / "cache"))
    _publish(repository, 1)
    assert server.policy.Act(REQUEST, timeout=60).version == 1
    unknown = [
        pb.ActRequest(policy="nobody", observations=REQUEST.observations),
        pb.ActRequest(policy="cartpole", alias="nothing", observations=REQUEST.observations),
        pb.ActRequest(policy="cartpole", version=99, observations=REQUEST.observations),
    ]
    began, before = time.monotonic(), sum(proxy.requests.values())
    for request in unknown * 50:
        with pytest.raises(grpc.RpcError) as refused:
            server.policy.Act(request, timeout=60)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    rounds = 1 + int((time.monotonic() - began) / LISTING_SECONDS)
    assert sum(proxy.requests.values()) - before <= REQUESTS_OF_A_MISS * rounds
    assert server.policy.Act(REQUEST, timeout=60).version == 1
    assert server.stop() == 0
