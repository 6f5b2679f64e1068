"""Object storage: publishers that die, and stores that fail halfway; on real servers."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore

from policy_api.v1 import artifact_pb2
from policyd import errors
from policyd.repository import ModelRepository
from policyd.repository.object_client import ObjectClient
from policyd.repository.objects import ObjectStorage
from tests.flawed_proxy import FlawedProxy
from tests.policyd.repository.conftest import publish_content
from tests.stores import StoreServer


@pytest.fixture
def repository(store: StoreServer) -> ModelRepository:
    """A repository on a server, for all tests here."""
    return ModelRepository(store.location())


def test_a_gap_is_shown_and_harmless(repository: ModelRepository) -> None:
    """If a publisher is killed after its claim, its number never becomes a version.

    Later versions have higher numbers, and inspecting the policy names the missing number.
    """
    assert publish_content(repository, b"one") == 1
    client = repository.storage.client  # type: ignore[attr-defined]  # of object storage
    client.create("models/cartpole/claims/2", b"somebody")
    client.put("models/cartpole/2/model.onnx", b"half of a version")
    assert repository.inspect("cartpole").notes == ()  # its publisher may still be working
    assert publish_content(repository, b"three") == 3
    assert repository.versions("cartpole") == [1, 3]
    [note] = repository.inspect("cartpole").notes
    assert "models/cartpole/2 was claimed by a publisher that has ended or is still at work" in note
    repository.set_alias("cartpole", "champion", 3, actor="", reason="")
    with pytest.raises(errors.NotFound):
        repository.read("cartpole", 2)
    assert repository.inspect("cartpole").damage == ()


class _Dies(BaseException):
    """Ends a publisher, like kill -9."""


class _DyingClient(ObjectClient):
    """Raises before its n-th write."""

    def __init__(self, store: MemoryStore, writes: int) -> None:
        super().__init__(store, "memory://test")
        self._left = writes

    def _count(self) -> None:
        if self._left == 0:
            raise _Dies
        self._left -= 1

    def put(self, key: str, content: bytes) -> object:  # type: ignore[override]  # passes it on
        self._count()
        return super().put(key, content)

    def create(self, key: str, content: bytes) -> bool:
        self._count()
        return super().create(key, content)


def test_a_publisher_may_die_before_every_write() -> None:
    """After a death before any write the repository is valid.

    The same job then ends with one version.
    """
    steps = 0
    while True:
        store = MemoryStore()
        dying = ModelRepository(ObjectStorage(_DyingClient(store, steps)))
        whole = ModelRepository(ObjectStorage(ObjectClient(store, "memory://test")))
        try:
            publish_content(dying, b"model", "job")
        except _Dies:
            steps += 1
        else:
            break
        for number in whole.storage.numbers("cartpole"):
            whole.verify("cartpole", number)
        number = publish_content(whole, b"model", "job")
        assert whole.versions("cartpole") == [number]
        assert whole.policies() == ["cartpole"]
        assert whole.verify("cartpole", number).job_id == "job"
    assert steps >= 8


@pytest.mark.parametrize("flaw", ["refuse", "lose", "half", "slow", "conflict", "busy"])
def test_a_store_that_fails_loses_nothing(repository: ModelRepository, proxy: FlawedProxy, flaw: str) -> None:
    """A fifth of the requests fails. What succeeds is whole, happens once, and can be read."""
    own = ModelRepository(proxy.location(repository.location))
    own.prepare()
    proxy.flaws, proxy.share = (flaw,), 0.2
    published: dict[int, bytes] = {}
    for i in range(8):
        content = bytes([i]) * 1000
        number = _retried(partial(publish_content, own, content, f"job-{i}"))
        published[number] = content
        promote = partial(own.set_alias, actor=str(i), reason="newest")
        _retried(partial(promote, "cartpole", "champion", number))
        assert _retried(partial(own.read_model, "cartpole", number)) == content
    assert repository.versions("cartpole") == sorted(published)
    assert len(published) == 8
    state = repository.aliases("cartpole")
    assert state.generation == len(state.history) == 8
    for number, content in published.items():
        repository.verify("cartpole", number)
        assert repository.read_model("cartpole", number) == content


def _retried(call: Callable[[], Any]) -> Any:
    """Repeats a call, as for a job. CorruptArtifact would be a torn read and is not repeated."""
    for _ in range(10):
        try:
            return call()
        except errors.Unavailable:
            continue
    return call()


class _Forgetful(MemoryStore):
    """A store that accepts conditional writes and ignores the condition, as some do."""

    def put(self, path: str, file: Any, **_: Any) -> Any:
        """Overwrites, always."""
        return super().put(path, file)


def test_a_store_without_conditions_is_refused() -> None:
    """The store is probed before the first write: without conditions changes could be lost."""
    own = ModelRepository(ObjectStorage(ObjectClient(_Forgetful(), "memory://forgetful")))
    with pytest.raises(errors.FailedPrecondition, match="does not honour conditional writes"):
        own.prepare()
    with pytest.raises(errors.FailedPrecondition, match="does not honour conditional writes"):
        publish_content(own, b"model")
    assert own.policies() == []


def test_a_promotion_costs_a_poller_one_listing(repository: ModelRepository, proxy: FlawedProxy) -> None:
    """Reading the stamps is one request, however much there is."""
    for i in range(3):
        publish_content(repository, bytes([i]))
    repository.set_alias("cartpole", "champion", 1, actor="", reason="")
    own = ModelRepository(proxy.location(repository.location))
    for _ in range(5):
        own.stamps()
    assert proxy.requests == {"LIST": 5}


def test_large_files_pass(repository: ModelRepository, metadata: artifact_pb2.PolicyMetadata) -> None:
    """A model of several MiB and an empty file can be published and read."""
    files: dict[str, Path | bytes] = {"model.onnx": random.Random(0).randbytes(9_000_000), "empty": b""}
    repository.publish("cartpole", files, metadata=metadata)
    assert repository.verify("cartpole", 1).files.keys() == files.keys()
