"""config.pbtxt, read back with Triton's own message definition."""

from collections.abc import Callable

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from policy_api.v1 import artifact_pb2
from policyd import errors
from policyd.repository import ModelRepository, PublishedVersion
from policyd.repository.triton import model_config
from tests.policyd.repository.conftest import Raw

Publish = Callable[..., PublishedVersion]


def test_the_policys_folder_is_tritons_layout(raw: Raw, publish: Publish) -> None:
    """config.pbtxt is a ModelConfig with the backend, inputs and outputs of the artifact."""
    publish()
    text = raw.read("models/cartpole/config.pbtxt").decode()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert (config.name, config.backend, config.platform) == ("cartpole", "onnxruntime", "onnxruntime_onnx")
    assert config.max_batch_size >= 1
    assert [(i.name, i.data_type, list(i.dims)) for i in config.input] == [
        ("observations", model_config_pb2.TYPE_FP32, [4])
    ]
    assert [(o.name, list(o.dims)) for o in config.output] == [
        ("action_logits", [2]),
        ("action_probs", [2]),
        ("value", [1]),
    ]
    value = config.output[2]
    assert value.HasField("reshape")
    assert list(value.reshape.shape) == []


def test_the_config_follows_the_newest_version(
    repository: ModelRepository, raw: Raw, publish: Publish, metadata: artifact_pb2.PolicyMetadata
) -> None:
    """After a retraining with another shape, the config describes the new version."""
    publish()
    metadata.observation_space.box.shape[:] = [2, 3]
    metadata.has_value = False
    repository.publish("cartpole", {"model.onnx": b""}, metadata=metadata)
    text = raw.read("models/cartpole/config.pbtxt").decode()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert list(config.input[0].dims) == [2, 3]
    assert len(config.output) == 2


def test_what_cannot_be_described_is_refused(metadata: artifact_pb2.PolicyMetadata) -> None:
    """Metadata without a distribution has no outputs to declare, and is refused."""
    metadata.ClearField("distribution")
    with pytest.raises(errors.InvalidArgument, match="distribution"):
        model_config(metadata)
