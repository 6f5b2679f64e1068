"""What the protocol tells about a model.

Metadata for clients, configuration for load generators.
"""

from __future__ import annotations

from collections.abc import Sequence

from tritonclient.grpc import model_config_pb2 as config_pb
from tritonclient.grpc import service_pb2 as pb

from policyd_server.models.version import LoadedVersion
from policyd_server.oip import tensors
from policyd_server.oip.tensors import BOOL, FP32, INT64, Tensor

PLATFORM = "onnxruntime_onnx"
_DATA_TYPES = {FP32: config_pb.TYPE_FP32, INT64: config_pb.TYPE_INT64, BOOL: config_pb.TYPE_BOOL}


def metadata(model: LoadedVersion, versions: Sequence[int]) -> pb.ModelMetadataResponse:
    """Returns name, published versions and tensors. A dimension of -1 is the batch."""
    return pb.ModelMetadataResponse(
        name=model.policy,
        versions=[str(version) for version in versions],
        platform=PLATFORM,
        inputs=[_metadata(tensor) for tensor in tensors.inputs(model)],
        outputs=[_metadata(tensor) for tensor in tensors.outputs(model)],
    )


def configuration(model: LoadedVersion, max_rows: int) -> config_pb.ModelConfig:
    """Returns the configuration: the same tensors without the batch.

    It has no sequence batching, which would force load generators to a batch of 1.
    """
    return config_pb.ModelConfig(
        name=model.policy,
        platform=PLATFORM,
        backend="onnxruntime",
        max_batch_size=max_rows,
        input=[_input(tensor) for tensor in tensors.inputs(model)],
        output=[_output(tensor) for tensor in tensors.outputs(model)],
        dynamic_batching=config_pb.ModelDynamicBatching(),
    )


def _metadata(tensor: Tensor) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=tensor.name, datatype=tensor.datatype, shape=(-1, *tensor.shape)
    )


def _input(tensor: Tensor) -> config_pb.ModelInput:
    return config_pb.ModelInput(
        name=tensor.name,
        data_type=_DATA_TYPES[tensor.datatype],
        dims=tensor.shape,
        optional=tensor.name == tensors.ACTION_MASK,
    )


def _output(tensor: Tensor) -> config_pb.ModelOutput:
    """Returns an output. Its shape must not be empty: one number per row is reshaped from [1]."""
    output = config_pb.ModelOutput(
        name=tensor.name, data_type=_DATA_TYPES[tensor.datatype], dims=tensor.shape or (1,)
    )
    if not tensor.shape:
        output.reshape.SetInParent()
    return output
