"""`config.pbtxt`: a policy's description for servers that read Triton's repository layout.

Source: Triton Inference Server, "Model Configuration". Fields that Triton needs: name, backend and
platform, max_batch_size (dims are then without the batch), inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

from policy_api.errors import InvalidArgument
from policy_api.v1.artifact_pb2 import PolicyMetadata

MAX_BATCH_SIZE = 1024

_CONFIG = """\
name: "{name}"
backend: "onnxruntime"
platform: "onnxruntime_onnx"
max_batch_size: {max_batch_size}
input [
{inputs}
]
output [
{outputs}
]
"""


def model_config(metadata: PolicyMetadata) -> str:
    """The text of config.pbtxt for the newest version, whose metadata this is."""
    if metadata.observation_space.WhichOneof("kind") != "box":
        raise InvalidArgument.of("metadata.observation_space", got="none", wanted="a box")
    if metadata.distribution.WhichOneof("kind") != "categorical":
        raise InvalidArgument.of("metadata.distribution", got="none", wanted="categorical")
    actions = metadata.distribution.categorical.n
    outputs = [_tensor("action_logits", [actions]), _tensor("action_probs", [actions])]
    if metadata.has_value:
        outputs.append(_tensor("value", []))
    return _CONFIG.format(
        name=metadata.policy,
        max_batch_size=MAX_BATCH_SIZE,
        inputs=_tensor("observations", metadata.observation_space.box.shape),
        outputs=",\n".join(outputs),
    )


def _tensor(name: str, shape: Sequence[int]) -> str:
    # dims may not be empty: a scalar per row is dims [1], reshaped to none.
    dims = ", ".join(map(str, shape or [1]))
    reshape = "" if shape else " reshape { shape: [ ] }"
    return f'  {{ name: "{name}" data_type: TYPE_FP32 dims: [ {dims} ]{reshape} }}'
