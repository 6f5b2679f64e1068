"""Copying a repository from any place to any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_api.v1 import artifact_pb2
from policy_api.v1.traffic_pb2 import Canary, Traffic, TrafficShare
from policyd import errors
from policyd.cli.app import run
from policyd.repository import ModelRepository, traffic
from policyd.repository.copying import copy
from tests.policyd.repository.conftest import Publish, Raw


@pytest.fixture
def filled(repository: ModelRepository, publish: Publish) -> ModelRepository:
    """A repository with three versions, a report and a history."""
    for content in (b"one", b"two", b"three"):
        publish(content, job_id=content.decode())
    for version in (1, 3):
        repository.set_alias("cartpole", "champion", version, actor="ann", reason="better")
    repository.add_files("cartpole", 3, {"report.html": b"<html>"})
    return repository


def test_a_copy_is_the_same_and_can_be_repeated(filled: ModelRepository, tmp_path: Path) -> None:
    """A copy works from disk, memory and S3 to a folder and back.

    Numbers, bytes, job ids and history stay.
    """
    other = ModelRepository(tmp_path / "other")
    done = copy(filled, other)
    assert done.copied == ("cartpole/1", "cartpole/2", "cartpole/3")
    for number in (1, 2, 3):
        assert other.verify("cartpole", number) == filled.read("cartpole", number)
    assert other.aliases("cartpole") == filled.aliases("cartpole")
    assert other.read_added(other.read("cartpole", 3), "report.html") == b"<html>"
    assert copy(filled, other).existed == done.copied
    assert copy(other, filled).existed == done.copied
    filled.rollback_alias("cartpole", "champion", actor="", reason="")
    copy(filled, other)
    assert other.aliases("cartpole") == filled.aliases("cartpole")


def test_shares_and_shadows_are_copied(filled: ModelRepository, tmp_path: Path) -> None:
    """A copy has the same shares and shadows, also if they change and the copy is repeated."""
    other = ModelRepository(tmp_path / "other")
    shares = [TrafficShare(version=2, share=0.25)]
    filled.change_traffic(
        "cartpole", lambda state: traffic.with_shares(state, "champion", shares, actor="ann", reason="")
    )
    filled.change_traffic(
        "cartpole", lambda state: traffic.with_shadow(state, "champion", 1, 0.5, actor="ann", reason="")
    )
    copy(filled, other)
    assert other.traffic("cartpole") == filled.traffic("cartpole")
    filled.change_traffic(
        "cartpole", lambda state: traffic.with_shares(state, "champion", [], actor="ann", reason="")
    )
    copy(filled, other)
    assert other.traffic("cartpole") == filled.traffic("cartpole")
    other.change_traffic(
        "cartpole", lambda state: traffic.with_shares(state, "champion", shares, actor="bob", reason="")
    )
    with pytest.raises(errors.Conflict, match="the traffic of cartpole"):
        copy(filled, other)


def test_a_canary_that_runs_is_none_in_the_copy(filled: ModelRepository, tmp_path: Path) -> None:
    """A canary's evidence is not copied, so its share is not either. The copy can be repeated."""
    other = ModelRepository(tmp_path / "other")

    def begin(state: Traffic) -> Traffic:
        shares = [TrafficShare(version=2, share=0.25)]
        after = traffic.with_shares(state, "champion", shares, actor="ann", reason="canary")
        after.canary.state, after.canary.alias, after.canary.version = Canary.RUNNING, "champion", 2
        return after

    filled.change_traffic("cartpole", begin)
    for _ in range(2):
        copy(filled, other)
        found = other.traffic("cartpole")
        assert found.canary.state == Canary.CANCELLED
        assert "goes on where its evidence is" in found.canary.reason
        assert not found.aliases
    assert filled.traffic("cartpole").canary.state == Canary.RUNNING
    ended = traffic.canary_ended(filled.traffic("cartpole"), Canary.ROLLED_BACK, "worse")
    filled.change_traffic("cartpole", lambda _: ended)
    copy(filled, other)
    assert other.traffic("cartpole").canary.state == Canary.ROLLED_BACK


def test_the_other_way(
    repository: ModelRepository, metadata: artifact_pb2.PolicyMetadata, tmp_path: Path
) -> None:
    """A copy works from a folder to disk, memory and S3. The next publication continues there."""
    source = ModelRepository(tmp_path / "source")
    for content in (b"one", b"two"):
        source.publish("cartpole", {"model.onnx": content}, metadata=metadata)
    source.set_alias("cartpole", "champion", 2, actor="", reason="")
    copy(source, repository, ["cartpole"])
    assert repository.read_model("cartpole", 2) == b"two"
    assert repository.stamps().keys() == {"cartpole"}
    assert repository.publish("cartpole", {"model.onnx": b"three"}, metadata=metadata).version == 3


def test_a_copy_overwrites_nothing(
    filled: ModelRepository, raw: Raw, metadata: artifact_pb2.PolicyMetadata, tmp_path: Path
) -> None:
    """Other content under a number, another history, damage and an unknown policy are refused.

    The error names it.
    """
    other = ModelRepository(tmp_path / "other")
    other.publish("cartpole", {"model.onnx": b"mine"}, metadata=metadata)
    with pytest.raises(errors.AlreadyExists, match="another cartpole version 1"):
        copy(filled, other)
    third = ModelRepository(tmp_path / "third")
    copy(filled, third)
    third.set_alias("cartpole", "champion", 2, actor="", reason="")
    filled.set_alias("cartpole", "champion", 1, actor="", reason="")
    with pytest.raises(errors.Conflict, match="history of their own"):
        copy(filled, third)
    with pytest.raises(errors.NotFound, match="no policy 'lander'"):
        copy(filled, third, ["lander"])
    raw.write("models/cartpole/2/model.onnx", b"forged")
    with pytest.raises(errors.CorruptArtifact, match="sha256"):
        copy(filled, ModelRepository(tmp_path / "fourth"))


def test_the_command(disk: ModelRepository, metadata: artifact_pb2.PolicyMetadata, tmp_path: Path) -> None:
    """`policyctl copy FROM TO` needs no server."""
    disk.publish("cartpole", {"model.onnx": b"one"}, metadata=metadata)
    assert run(["copy", str(disk.root), str(tmp_path / "target")]) == 0
    assert ModelRepository(tmp_path / "target").read_model("cartpole", 1) == b"one"
    assert run(["copy", "ftp://nowhere", str(tmp_path / "target")]) == 2
