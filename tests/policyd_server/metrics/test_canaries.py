"""Prometheus shows a policy's last canary."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

from prometheus_client import CollectorRegistry

from policy_api.v1 import traffic_pb2 as pb
from policyd.repository import ModelRepository, traffic
from policyd_server.metrics.canaries import CanaryMetrics
from policyd_server.models.follower import Follower
from policyd_server.models.loaded_versions import LoadedVersions
from tests.policyd_server import artifacts

POLICY = "cartpole"


def test_the_last_canary_is_shown(tmp_path: Path) -> None:
    """The metrics have the last canary's state, share, arms and interval, and no other's."""
    repository = ModelRepository(tmp_path)
    for policy in (POLICY, "other"):
        described = artifacts.metadata(policy)
        for seed in (0, 1):
            model = artifacts.model(described, seed=seed)
            repository.publish(policy, {"model.onnx": model}, metadata=described)
        repository.set_alias(policy, "champion", 1, actor="test", reason="test")

    def begin(state: pb.Traffic) -> pb.Traffic:
        shares = [pb.TrafficShare(version=2, share=0.25)]
        after = traffic.with_shares(state, "champion", shares, actor="test", reason="test")
        after.canary.MergeFrom(pb.Canary(state=pb.Canary.RUNNING, alias="champion", version=2, share=0.25))
        after.canary.challenger.reported, after.canary.challenger.mean_return = 30, 1.5
        after.canary.points.add(episodes=30, difference=0.5, low=-0.5, high=1.5)
        return after

    repository.change_traffic(POLICY, begin)
    registry = CollectorRegistry()
    metrics, follower = CanaryMetrics(registry), Follower(repository, LoadedVersions(0))

    def sample(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"policyd_canary_{name}", {"policy": POLICY, **labels})

    asyncio.run(follower.poll())
    metrics.changed(follower)
    assert (sample("state"), sample("version"), sample("share")) == (1.0, 2.0, 0.25)
    assert sample("end_timestamp_seconds") == 0.0
    assert (sample("episodes", role="canary"), sample("return", role="canary")) == (30.0, 1.5)
    assert [sample("difference", bound=bound) for bound in ("low", "mean", "high")] == [-0.5, 0.5, 1.5]
    assert registry.get_sample_value("policyd_canary_state", {"policy": "other"}) is None

    ended = traffic.canary_ended(repository.traffic(POLICY), pb.Canary.ROLLED_BACK, "worse")
    repository.change_traffic(POLICY, lambda _: ended)
    asyncio.run(follower.poll())
    metrics.changed(follower)
    assert (sample("state"), sample("share")) == (3.0, 0.0)
    assert sample("end_timestamp_seconds") == ended.canary.end_time.ToNanoseconds() / 1e9

    def another(state: pb.Traffic) -> pb.Traffic:
        after = begin(state)
        after.canary.state = pb.Canary.RUNNING
        del after.canary.points[:]
        after.canary.points.add(episodes=3, difference=0.25, share=0.25)
        return after

    repository.change_traffic(POLICY, another)
    asyncio.run(follower.poll())
    metrics.changed(follower)
    assert sample("state") == 1.0
    assert all(math.isnan(sample("difference", bound=bound) or 0.0) for bound in ("low", "mean", "high"))
