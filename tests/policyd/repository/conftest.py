"""A repository of its own for each test, and metadata as a trainer writes it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from policy_api.v1 import artifact_pb2
from policyd.repository import ModelRepository, PublishedVersion
from policyd.repository.object_client import ObjectClient
from policyd.repository.objects import ObjectStorage
from tests.stores import NAMES, StoreServer

Publish = Callable[..., PublishedVersion]


class Raw(ABC):
    """Reads and changes files or objects of a repository without its code."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """One file's bytes."""

    @abstractmethod
    def write(self, key: str, content: bytes) -> None:
        """Writes or overwrites a file, whatever its permissions are."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Deletes one file."""

    @abstractmethod
    def names(self, folder: str) -> set[str]:
        """The names of the files in a folder."""


class RawFiles(Raw):
    """For a repository on disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, key: str) -> bytes:
        """See `Raw`."""
        return (self._root / key).read_bytes()

    def write(self, key: str, content: bytes) -> None:
        """See `Raw`."""
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.chmod(0o644)
        path.write_bytes(content)

    def delete(self, key: str) -> None:
        """See `Raw`."""
        (self._root / key).unlink()

    def names(self, folder: str) -> set[str]:
        """See `Raw`."""
        return {path.name for path in (self._root / folder).iterdir()}


class RawObjects(Raw):
    """For a repository in object storage."""

    def __init__(self, client: ObjectClient) -> None:
        self._client = client

    def read(self, key: str) -> bytes:
        """See `Raw`."""
        found = self._client.get(key, 2**31)
        assert found is not None
        return found.content

    def write(self, key: str, content: bytes) -> None:
        """See `Raw`."""
        self._client.put(key, content)

    def delete(self, key: str) -> None:
        """See `Raw`."""
        self._client.delete(key)

    def names(self, folder: str) -> set[str]:
        """See `Raw`."""
        return {key.rpartition("/")[2] for key, _ in self._client.entries(f"{folder}/")}


@pytest.fixture(params=["disk", "memory", *NAMES])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> ModelRepository:
    """A repository on disk, in memory, or on a server: each test runs on all."""
    if request.param == "disk":
        return ModelRepository(tmp_path / "repository")
    if request.param == "memory":
        return ModelRepository(ObjectStorage(ObjectClient(MemoryStore(), "memory://test")))
    server: StoreServer = request.getfixturevalue(request.param)
    return ModelRepository(server.location())


@pytest.fixture
def disk(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "repository")


@pytest.fixture
def raw(repository: ModelRepository) -> Raw:
    """Direct access to the repository's files."""
    if isinstance(repository.storage, ObjectStorage):
        return RawObjects(repository.storage.client)
    return RawFiles(repository.root)


@pytest.fixture
def metadata() -> artifact_pb2.PolicyMetadata:
    return cartpole_metadata()


@pytest.fixture
def publish(repository: ModelRepository, metadata: artifact_pb2.PolicyMetadata) -> Publish:
    def publish(content: bytes = b"model", job_id: str = "") -> PublishedVersion:
        return repository.publish("cartpole", {"model.onnx": content}, metadata=metadata, job_id=job_id)

    return publish


def cartpole_metadata() -> artifact_pb2.PolicyMetadata:
    return artifact_pb2.PolicyMetadata(
        format=1,
        policy="cartpole",
        observation_space=artifact_pb2.Space(
            box=artifact_pb2.BoxSpace(shape=[4], dtype="float32", low=[float("-inf")], high=[float("inf")])
        ),
        action_space=artifact_pb2.Space(discrete=artifact_pb2.DiscreteSpace(n=2)),
        distribution=artifact_pb2.Distribution(categorical=artifact_pb2.CategoricalDistribution(n=2)),
        algorithm="a2c",
        env_id="CartPole-v1",
        has_value=True,
    )


def publish_content(repository: ModelRepository, content: bytes, job_id: str = "") -> int:
    """Publishes a model of these bytes and returns the version's number."""
    metadata = cartpole_metadata()
    return repository.publish("cartpole", {"model.onnx": content}, metadata=metadata, job_id=job_id).version
