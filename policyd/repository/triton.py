"""`config.pbtxt`: a policy's description for servers that read Triton's repository layout.

Source: Triton Inference Server, "Model Configuration". Fields that Triton needs: name, backend and
platform, max_batch_size (dims are then without the batch), inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policyd.errors import InvalidArgument
from policyd.spaces import row_shape
from policyd.tensors import OBSERVATIONS, output_tensors

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
    """Returns the text of config.pbtxt. `metadata` is that of the newest version."""
    if metadata.observation_space.WhichOneof("kind") is None:
        raise InvalidArgument.of("metadata.observation_space", got="none", wanted="a space")
    if metadata.distribution.WhichOneof("kind") is None:
        raise InvalidArgument.of("metadata.distribution", got="none", wanted="a distribution")
    outputs = [_tensor(name, shape) for name, shape in output_tensors(metadata).items()]
    return _CONFIG.format(
        name=metadata.policy,
        max_batch_size=MAX_BATCH_SIZE,
        inputs=_tensor(OBSERVATIONS, row_shape(metadata.observation_space)),
        outputs=",\n".join(outputs),
    )


def _tensor(name: str, shape: Sequence[int]) -> str:
    # dims must not be empty: one number per row has dims [1], which is reshaped to [].
    dims = ", ".join(map(str, shape or [1]))
    reshape = "" if shape else " reshape { shape: [ ] }"
    return f'  {{ name: "{name}" data_type: TYPE_FP32 dims: [ {dims} ]{reshape} }}'
