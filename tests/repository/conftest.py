"""A repository in a folder of its own, and metadata as a trainer writes it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from policy_api.v1 import artifact_pb2
from repository import ModelRepository, PublishedVersion

Publish = Callable[..., PublishedVersion]


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return ModelRepository(tmp_path / "repository")


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
