"""The policy that every contestant serves.

8 observations, two layers of 64, 4 actions and a value.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf import json_format
from onnx import TensorProto, helper, numpy_helper

from policy_api.v1 import artifact_pb2
from policyd.repository import ModelRepository

POLICY = "bench"
OBSERVATION_SIZE = 8
ACTIONS = 4


def publish(root: Path, versions: int = 2) -> ModelRepository:
    """Publishes `versions` policies with different weights; `champion` names version 1."""
    models = ModelRepository(root)
    for seed in range(versions):
        metadata = _metadata(seed)
        models.publish(POLICY, {"model.onnx": model_bytes(seed, metadata)}, metadata=metadata)
    models.set_alias(POLICY, "champion", 1, actor="benchmark", reason="first version")
    return models


def model_bytes(seed: int, metadata: artifact_pb2.PolicyMetadata) -> bytes:
    """An ONNX file with random weights, in the form that the trainer exports."""
    rng = np.random.default_rng(seed)
    nodes, weights = [], []
    inputs = "observations"
    for name, fan_in, fan_out, out in (
        ("hidden0", OBSERVATION_SIZE, 64, "h0"),
        ("hidden1", 64, 64, "h1"),
        ("actor", 64, ACTIONS, "action_logits"),
        ("critic", 64, 1, "values"),
    ):
        weight = rng.normal(0, fan_in**-0.5, (fan_in, fan_out)).astype(np.float32)
        weights += [
            numpy_helper.from_array(weight, f"{name}.weight"),
            numpy_helper.from_array(np.zeros(fan_out, np.float32), f"{name}.bias"),
        ]
        hidden = name.startswith("hidden")
        nodes.append(
            helper.make_node(
                "Gemm", [inputs, f"{name}.weight", f"{name}.bias"], [f"{out}.linear" if hidden else out]
            )
        )
        if hidden:
            nodes.append(helper.make_node("Tanh", [f"{out}.linear"], [out]))
            inputs = out
    weights.append(numpy_helper.from_array(np.array([-1], np.int64), "flat"))
    nodes.append(helper.make_node("Softmax", ["action_logits"], ["action_probs"], axis=-1))
    nodes.append(helper.make_node("Reshape", ["values", "flat"], ["value"]))
    return _file(nodes, weights, metadata)


def _file(
    nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], metadata: artifact_pb2.PolicyMetadata
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["batch", OBSERVATION_SIZE])],
        [
            helper.make_tensor_value_info("action_logits", TensorProto.FLOAT, ["batch", ACTIONS]),
            helper.make_tensor_value_info("action_probs", TensorProto.FLOAT, ["batch", ACTIONS]),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch"]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"policy_metadata": json_format.MessageToJson(metadata)})
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def _metadata(seed: int) -> artifact_pb2.PolicyMetadata:
    box = artifact_pb2.BoxSpace(shape=[OBSERVATION_SIZE], dtype="float32", low=[-10.0], high=[10.0])
    return artifact_pb2.PolicyMetadata(
        format=1,
        policy=POLICY,
        observation_space=artifact_pb2.Space(box=box),
        action_space=artifact_pb2.Space(discrete=artifact_pb2.DiscreteSpace(n=ACTIONS)),
        distribution=artifact_pb2.Distribution(categorical=artifact_pb2.CategoricalDistribution(n=ACTIONS)),
        algorithm="a2c",
        env_id="Benchmark-v0",
        seed=seed,
        has_value=True,
    )


def observations(batch: int) -> np.ndarray:
    """The rows [batch, 8] float32 that every request of this batch size sends."""
    return np.random.default_rng(batch).normal(size=(batch, OBSERVATION_SIZE)).astype(np.float32)
