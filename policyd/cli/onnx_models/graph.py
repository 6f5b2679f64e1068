"""Converts another program's graph to the form that artifacts have.

It has one input `observations` [batch, ...] of float32, and the outputs that `policyd.tensors`
names. The graph's own names get a prefix, so that none equals one of ours. Nodes are added before
and after it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policyd import tensors
from policyd.cli.onnx_models.outputs import OutputFinder, Outputs
from policyd.errors import InvalidArgument
from policyd.spaces import row_shape
from policyd.tensors import LOGITS, MEAN, OBSERVATIONS, PROBS, STD, VALUE, output_tensors

PREFIX = "imported/"
OLDEST_OPSET = 13  # since this version, Softmax and Split have today's meaning
# The standard deviation for a graph that outputs only a mean action. It is close to 0, but a
# density can still be computed.
DETERMINISTIC_STD = 1e-6


def conform(model: Any, metadata: PolicyMetadata, names: Mapping[str, str]) -> Any:
    """Returns the model with the artifact's input and outputs; sets `metadata.has_value`.

    Raises InvalidArgument if an input or output does not fit the spaces, or if the meaning of an
    output is not clear.
    """
    _check_opset(model)
    found = OutputFinder(model.graph, metadata.distribution, names).find()
    model = onnx.compose.add_prefix(model, PREFIX)
    graph = model.graph
    del graph.value_info[:]  # the recorded shapes may have the exporter's batch size
    metadata.has_value = found.value is not None
    front = _front(graph, row_shape(metadata.observation_space))
    behind = _behind(found, metadata)
    nodes = [*front, *graph.node, *behind]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    graph.input.append(_value(OBSERVATIONS, row_shape(metadata.observation_space)))
    del graph.output[:]
    graph.output.extend(_value(name, shape) for name, shape in output_tensors(metadata).items())
    onnx.checker.check_model(model)
    return model


def _check_opset(model: Any) -> None:
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        wanted = f"{OLDEST_OPSET} or above: export it again with opset_version=17"
        raise InvalidArgument.of("opset", got=opset, wanted=wanted)


def _front(graph: Any, shape: tuple[int, ...]) -> list[Any]:
    """Returns the nodes from `observations` [batch, *shape] float32 to the graph's own inputs."""
    initializers = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in initializers]
    if len(inputs) != 1:
        got = ", ".join(entry.name.removeprefix(PREFIX) for entry in inputs)
        raise InvalidArgument.of("inputs", got=got or "none", wanted="one, the observations")
    wanted, kind = _dimensions(inputs[0]), inputs[0].type.tensor_type.elem_type
    nodes: list[Any] = []
    last = OBSERVATIONS
    if wanted is not None and wanted != shape:
        nodes, last = _shaped(graph, shape, wanted)
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [last], [inputs[0].name], to=kind))
    else:
        nodes.append(helper.make_node("Identity", [last], [inputs[0].name]))
    return nodes


def _shaped(graph: Any, shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[list[Any], str]:
    name = "policyd/observations"
    if len(shape) == len(wanted) == 3 and wanted == (shape[2], shape[0], shape[1]):
        return [helper.make_node("Transpose", [OBSERVATIONS], [name], perm=[0, 3, 1, 2])], name
    if math.prod(shape) != math.prod(wanted):
        got = f"{list(wanted)} for each observation"
        raise InvalidArgument.of("input", got=got, wanted=f"{list(shape)}, as the environment has it")
    to = numpy_helper.from_array(np.array([-1, *wanted], np.int64), "policyd/observation_shape")
    graph.initializer.append(to)
    return [helper.make_node("Reshape", [OBSERVATIONS, to.name], [name])], name


def _dimensions(entry: Any) -> tuple[int, ...] | None:
    """Returns the dimensions without the batch. None: not all are known."""
    dims = [d.dim_value if d.HasField("dim_value") else 0 for d in entry.type.tensor_type.shape.dim[1:]]
    return tuple(dims) if all(dims) else None


def _behind(found: Outputs, metadata: PolicyMetadata) -> list[Any]:
    """Returns the nodes from the graph's own tensors to the artifact's outputs."""
    nodes = []
    kind = metadata.distribution.WhichOneof("kind")
    if kind == "gaussian":
        size = int(metadata.distribution.gaussian.size)
        nodes += _reshaped(found.mean, MEAN, [-1, size])
        nodes += _deviation(found, size)
    else:
        width = tensors.distribution_tensors(metadata.distribution)[LOGITS][0]
        nodes += _reshaped(found.logits, LOGITS, [-1, width])
        nodes += _probabilities(metadata)
    if found.value is not None:
        nodes += _reshaped(found.value, VALUE, [-1])
    return nodes


def _probabilities(metadata: PolicyMetadata) -> list[Any]:
    kind = metadata.distribution.WhichOneof("kind")
    if kind == "bernoulli":
        return [helper.make_node("Sigmoid", [LOGITS], [PROBS])]
    if kind == "categorical":
        return [helper.make_node("Softmax", [LOGITS], [PROBS], axis=-1)]
    nvec = list(metadata.distribution.multi_categorical.nvec)
    branches = [f"policyd/branch_{i}" for i in range(len(nvec))]
    chosen = [f"{branch}/probs" for branch in branches]
    return [
        _constant("policyd/nvec", np.array(nvec, np.int64)),
        helper.make_node("Split", [LOGITS, "policyd/nvec"], branches, axis=-1),
        *(helper.make_node("Softmax", [a], [b], axis=-1) for a, b in zip(branches, chosen, strict=True)),
        helper.make_node("Concat", chosen, [PROBS], axis=-1),
    ]


def _deviation(found: Outputs, size: int) -> list[Any]:
    if found.std is not None:
        return _reshaped(found.std, STD, [-1, size])
    if found.log_std is not None:
        name = "policyd/log_std"
        return [*_reshaped(found.log_std, name, [-1, size]), helper.make_node("Exp", [name], [STD])]
    return [
        _constant("policyd/std", np.full((1, size), DETERMINISTIC_STD, np.float32)),
        helper.make_node("Shape", [MEAN], ["policyd/mean_shape"]),
        helper.make_node("Expand", ["policyd/std", "policyd/mean_shape"], [STD]),
    ]


def _reshaped(source: str | None, target: str, shape: Sequence[int]) -> list[Any]:
    """Returns nodes that make float32 of this shape from `source`, whatever its shape and type."""
    assert source is not None, "the finder found it"
    to = f"policyd/{target}_shape"
    return [
        _constant(to, np.array(shape, np.int64)),
        helper.make_node("Cast", [PREFIX + source], [f"policyd/{target}_float"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", [f"policyd/{target}_float", to], [target]),
    ]


def _constant(name: str, array: np.ndarray) -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))


def _value(name: str, shape: tuple[int, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
