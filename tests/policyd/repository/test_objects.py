"""Object storage: racing writers, kill -9, and stores that fail halfway; on real servers."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
from tests.policyd.repository.conftest import cartpole_metadata
from tests.stores import StoreServer

WRITER = Path(__file__).with_name("writer.py")


@pytest.fixture
def repository(store: StoreServer) -> ModelRepository:
    """A repository on a server, for all tests here."""
    return ModelRepository(store.location())


def _publish(repository: ModelRepository, content: bytes, job_id: str = "") -> int:
    metadata = cartpole_metadata()
    return repository.publish("cartpole", {"model.onnx": content}, metadata=metadata, job_id=job_id).version


def test_racing_writers_take_each_number_once(repository: ModelRepository) -> None:
    """Four writers publish ten versions each.

    The numbers are unique and without a gap, and every version is its writer's own.
    """

    def write(writer: int) -> dict[int, bytes]:
        own = ModelRepository(repository.location)
        contents = [f"{writer}-{i}".encode() for i in range(10)]
        return {_publish(own, content): content for content in contents}

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(write, range(4)))
    together = {number: content for each in written for number, content in each.items()}
    assert sorted(together) == repository.versions("cartpole") == list(range(1, 41))
    for number, content in together.items():
        assert repository.read_model("cartpole", number) == content


def test_no_change_of_an_alias_is_lost(repository: ModelRepository) -> None:
    """Four writers change the alias ten times each.

    There are forty generations, and each change is in the history once.
    """
    for number in (1, 2):
        _publish(repository, bytes([number]))

    def change(writer: int) -> None:
        own = ModelRepository(repository.location)
        for i in range(10):
            own.set_alias("cartpole", f"w{writer}", 1 + i % 2, actor=str(writer), reason=str(i))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(4)))
    state = repository.aliases("cartpole")
    assert state.generation == len(state.history) == 40
    for writer in range(4):
        assert [change.reason for change in state.history_of(f"w{writer}")] == [str(i) for i in range(10)]
    with pytest.raises(errors.Conflict, match="generation 40, not 3"):
        repository.set_alias("cartpole", "w0", 1, actor="", reason="", expected_generation=3)


def test_attempts_at_one_job_publish_one_version(repository: ModelRepository) -> None:
    """Six attempts at the same job run at the same time.

    All return the same version, and there is no other.
    """
    with ThreadPoolExecutor(6) as pool:
        numbers = list(
            pool.map(lambda i: _publish(ModelRepository(repository.location), b"%d" % i, "job"), range(6))
        )
    assert len(set(numbers)) == 1
    assert repository.versions("cartpole") == numbers[:1]
    repository.verify("cartpole", numbers[0])
    assert _publish(repository, b"later", "job") == numbers[0]


def _lives(location: str, name: str) -> list[dict[str, object]]:
    """Starts a writer and kills it at random, several times. Returns what it said was done."""
    chance = random.Random(name)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["proto", "."])}
    done: list[dict[str, object]] = []
    for life in range(4):
        command = [sys.executable, str(WRITER), location, f"{name}-{life}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            threading.Timer(chance.uniform(0, 0.3), process.kill).start()
            done += [json.loads(line) for line in [first, *process.stdout] if line.endswith("\n")]
    return done


def _read_all(repository: ModelRepository) -> None:
    """Checks that every listed version is whole, and that every alias names one."""
    for policy in repository.policies():
        for version in repository.versions(policy)[-3:]:
            repository.verify(policy, version)
        for named in repository.aliases(policy).aliases.values():
            repository.read_model(policy, named)


def test_writers_are_killed_while_readers_read(repository: ModelRepository) -> None:
    """Writers are killed with SIGKILL at random moments.

    What a writer said was done stays, and everything listed is whole.
    """
    with ThreadPoolExecutor(2) as pool:
        lives = [pool.submit(_lives, repository.location, name) for name in ("a", "b")]
        while not all(life.done() for life in lives):
            _read_all(repository)
        done = [entry for life in lives for entry in life.result()]
    assert len({entry["version"] for entry in done}) == len(done) >= 8
    for entry in done:
        kept = repository.verify("cartpole", int(str(entry["version"])))
        assert (kept.digest, kept.job_id) == (entry["digest"], entry["job_id"])
    assert repository.aliases("cartpole").generation >= len(done)
    repository.sweep()
    assert repository.policies() == ["cartpole"]


def test_a_gap_is_shown_and_harmless(repository: ModelRepository) -> None:
    """If a publisher is killed after its claim, its number never becomes a version.

    Later versions have higher numbers, and inspecting the policy names the missing number.
    """
    assert _publish(repository, b"one") == 1
    client = repository.storage.client  # type: ignore[attr-defined]  # of object storage
    client.create("models/cartpole/claims/2", b"somebody")
    client.put("models/cartpole/2/model.onnx", b"half of a version")
    assert repository.inspect("cartpole").notes == ()  # its publisher may still be working
    assert _publish(repository, b"three") == 3
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
            _publish(dying, b"model", "job")
        except _Dies:
            steps += 1
        else:
            break
        for number in whole.storage.numbers("cartpole"):
            whole.verify("cartpole", number)
        number = _publish(whole, b"model", "job")
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
        number = _retried(partial(_publish, own, content, f"job-{i}"))
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
        _publish(own, b"model")
    assert own.policies() == []


def test_the_environment_may_name_the_endpoint(store: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint is read from the cloud tools' variables, also one without TLS."""
    for variable in store.endpoint_variables:
        where, _, endpoint = store.location().partition("?endpoint=")
        with monkeypatch.context() as patch:
            patch.setenv(variable, endpoint)
            repository = ModelRepository(where)
        assert _publish(repository, b"model") == 1
        assert repository.policies() == ["cartpole"]


def test_what_is_wrong_is_said_without_credentials(
    repository: ModelRepository,
    store: StoreServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A store that refuses and one that is unreachable give errors of the tree.

    They are one line, without the key.
    """
    nowhere = ModelRepository(repository.location.replace(f":{store.port}", ":9"))
    with pytest.raises(errors.Unavailable, match="cannot be reached") as unreachable:
        nowhere.policies()
    other = store.other_credentials(tmp_path)
    monkeypatch.setenv(*other)
    refused = ModelRepository(repository.location)
    with pytest.raises(errors.FailedPrecondition, match="refuses access") as denied:
        refused.policies()
    for text in (unreachable.value.message, denied.value.message, caplog.text):
        assert "\n" not in text or text is caplog.text
        assert store.secret not in text
        assert other[1] not in text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://key:secret@bucket/prefix", "no credentials in the URL"),
        ("s3://bucket?secret=1", "settings of s3://"),
        ("s3://bucket?sse=rot13", "AES256"),
        ("s3://", "BUCKET/PREFIX"),
    ],
)
def test_urls_are_checked(url: str, said: str) -> None:
    """Wrong credentials, unknown settings and a missing bucket are refused.

    Secrets are not shown.
    """
    with pytest.raises(errors.InvalidArgument, match=said) as raised:
        ModelRepository(url)
    assert "secret@" not in raised.value.message


@pytest.mark.parametrize("url", ["gs://bucket/prefix", "az://container/prefix"])
def test_other_clouds_are_opened_by_their_scheme(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their URLs open a storage. Nothing is sent before the first call."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert ModelRepository(url).location == url


def test_a_promotion_costs_a_poller_one_listing(repository: ModelRepository, proxy: FlawedProxy) -> None:
    """Reading the stamps is one request, however much there is."""
    for i in range(3):
        _publish(repository, bytes([i]))
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
