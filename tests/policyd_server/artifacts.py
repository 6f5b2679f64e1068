"""Small real policies for the server's tests: an MLP as an ONNX artifact, made without torch."""

from __future__ import annotations

import numpy as np
import onnx
from google.protobuf import json_format
from onnx import TensorProto, helper, numpy_helper

from policy_api.v1 import artifact_pb2
from policyd import spaces


def metadata(
    policy: str, observation_shape: tuple[int, ...] = (4,), n: int = 2, *, has_value: bool = True
) -> artifact_pb2.PolicyMetadata:
    """The metadata of an artifact."""
    return artifact_pb2.PolicyMetadata(
        format=1,
        policy=policy,
        observation_space=artifact_pb2.Space(
            box=artifact_pb2.BoxSpace(shape=observation_shape, dtype="float32", low=[-10.0], high=[10.0])
        ),
        action_space=artifact_pb2.Space(discrete=artifact_pb2.DiscreteSpace(n=n)),
        distribution=artifact_pb2.Distribution(categorical=artifact_pb2.CategoricalDistribution(n=n)),
        algorithm="a2c",
        env_id="Test-v0",
        has_value=has_value,
    )


def fragile(described: artifact_pb2.PolicyMetadata) -> bytes:
    """A policy that ONNX Runtime cannot run if an element is 100 or more."""
    made = onnx.load_from_string(model(described))
    nodes = [
        helper.make_node("ReduceMax", ["observations"], ["largest"], axes=[1], keepdims=1),
        helper.make_node("Cast", ["largest"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["hundred_zeros", "place"], ["nothing"]),
        helper.make_node("Add", ["sound_logits", "nothing"], ["action_logits"]),
    ]
    _before_the_logits(made, nodes)
    made.graph.initializer.append(numpy_helper.from_array(np.zeros(100, np.float32), "hundred_zeros"))
    serialized: bytes = made.SerializeToString()
    return serialized


def slow(described: artifact_pb2.PolicyMetadata, *, size: int = 1280) -> bytes:
    """A policy that multiplies two useless matrices of `size` in each call: 20 ms or more."""
    made = onnx.load_from_string(model(described))
    square = numpy_helper.from_array(np.array([size, size], np.int64), "square")
    nodes = [
        helper.make_node("ReduceMax", ["observations"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["largest", "no"], ["zero"]),  # its value is known only when it runs
        helper.make_node("Expand", ["zero", "square"], ["zeros"]),
        helper.make_node("MatMul", ["zeros", "zeros"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["sound_logits", "nothing"], ["action_logits"]),
    ]
    _before_the_logits(made, nodes)
    made.graph.initializer.extend([square, numpy_helper.from_array(np.array(0, np.float32), "no")])
    serialized: bytes = made.SerializeToString()
    return serialized


def model(described: artifact_pb2.PolicyMetadata, *, seed: int = 0, hidden: int = 64) -> bytes:
    """A ReLU network `features -> hidden -> hidden -> n` with random weights.

    It has a critic, too.
    """
    shape = spaces.row_shape(described.observation_space)
    n = _width(described.distribution)
    features = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    sizes = [("1", features, hidden), ("2", hidden, hidden), ("_logits", hidden, n), ("_value", hidden, 1)]
    weights = {f"w{name}": rng.normal(size=(a, b)) * np.sqrt(2 / a) for name, a, b in sizes}
    weights |= {f"b{name}": rng.normal(size=b) * 0.1 for name, _, b in sizes}
    nodes = [
        helper.make_node("Flatten", ["observations"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "w1", "b1"], ["pre1"]),
        helper.make_node("Relu", ["pre1"], ["h1"]),
        helper.make_node("Gemm", ["h1", "w2", "b2"], ["pre2"]),
        helper.make_node("Relu", ["pre2"], ["h2"]),
        helper.make_node("Gemm", ["h2", "w_logits", "b_logits"], ["out"]),
        *_head(described.distribution),
    ]
    names = ("action_logits", "action_probs")
    if described.distribution.HasField("gaussian"):
        names = ("action_mean", "action_std")
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n]) for name in names]
    if described.has_value:
        nodes += [
            helper.make_node("Gemm", ["h2", "w_value", "b_value"], ["value_column"]),
            helper.make_node("Squeeze", ["value_column", "last_axis"], ["value"]),
        ]
        outputs.append(helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch"]))
    constants = [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()]
    constants.append(numpy_helper.from_array(np.array([1], np.int64), "last_axis"))
    inputs = [helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["batch", *shape])]
    graph = helper.make_graph(nodes, "policy", inputs, outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(made, {"policy_metadata": json_format.MessageToJson(described)})
    onnx.checker.check_model(made)
    serialized: bytes = made.SerializeToString()
    return serialized


def _before_the_logits(made: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Inserts nodes between `sound_logits`, as the logits are then called, and `action_logits`."""
    places = [node.output[0] for node in made.graph.node]
    logits = places.index("action_logits")
    made.graph.node[logits].output[0] = "sound_logits"
    for offset, node in enumerate(nodes, start=1):
        made.graph.node.insert(logits + offset, node)


def _width(distribution: artifact_pb2.Distribution) -> int:
    """How many numbers determine the distribution of one row, by output of the graph."""
    kind = distribution.WhichOneof("kind")
    if kind == "multi_categorical":
        return sum(distribution.multi_categorical.nvec)
    if kind == "gaussian":
        return int(distribution.gaussian.size)
    return int(distribution.bernoulli.n if kind == "bernoulli" else distribution.categorical.n)


def _head(distribution: artifact_pb2.Distribution) -> list[onnx.NodeProto]:
    """Adds nodes from `out` to the outputs of the distribution."""
    kind = distribution.WhichOneof("kind")
    if kind == "gaussian":
        return [
            helper.make_node("Identity", ["out"], ["action_mean"]),
            helper.make_node("Sigmoid", ["out"], ["action_std"]),
        ]
    logits = helper.make_node("Identity", ["out"], ["action_logits"])
    if kind == "bernoulli":
        return [logits, helper.make_node("Sigmoid", ["out"], ["action_probs"])]
    if kind == "categorical":
        return [logits, helper.make_node("Softmax", ["out"], ["action_probs"], axis=1)]
    nvec = list(distribution.multi_categorical.nvec)
    parts = [f"part{j}" for j in range(len(nvec))]
    softmaxes = [helper.make_node("Softmax", [part], [f"{part}_probs"], axis=1) for part in parts]
    probs = [f"{part}_probs" for part in parts]
    return [
        logits,
        helper.make_node("Constant", [], ["sizes"], value=numpy_helper.from_array(np.array(nvec, np.int64))),
        helper.make_node("Split", ["out", "sizes"], parts, axis=1),
        *softmaxes,
        helper.make_node("Concat", probs, ["action_probs"], axis=1),
    ]
