"""A network's nodes: features of the rows, convolutions, perceptron and exploration.

The same functions as `networks.composed` and, for images, `networks.modules`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policyd_trainer.distributions.state_dependent import VARIANCE_FLOOR
from policyd_trainer.export.nodes import GraphWriter
from policyd_trainer.networks.images import Convolution
from policyd_trainer.networks.layout import Segment
from policyd_trainer.networks.mlp import MlpSpec, layer_views
from policyd_trainer.networks.spec import NetworkSpec


@dataclass(frozen=True)
class NetworkOutputs:
    """Names of a network's results in the graph."""

    body: str  # the perceptron's output [B, body.outputs]
    std: str | None = None  # standard deviations of a Gaussian [B, A], or [A] if equal for all rows


def network_nodes(graph: GraphWriter, spec: NetworkSpec, parameters: np.ndarray, rows: str) -> NetworkOutputs:
    """Adds the network with these flat parameters [P], which reads rows [B, D] without a mask."""
    images, body, log_std = np.split(
        parameters.astype(np.float32), [spec.image_parameters, spec.image_parameters + spec.body.size]
    )
    features = _features(graph, spec, images, rows)
    hidden, outputs = _perceptron(graph, spec.body, body, features)
    if spec.head == "log_std":
        return NetworkOutputs(outputs, graph.constant(np.exp(log_std)))
    if spec.head == "state_dependent":
        return NetworkOutputs(outputs, _state_dependent(graph, spec, log_std, hidden))
    return NetworkOutputs(outputs)


def _perceptron(graph: GraphWriter, spec: MlpSpec, parameters: np.ndarray, inputs: str) -> tuple[str, str]:
    """Adds the perceptron. Returns the names of the last layer's input and of its output."""
    hidden = inputs
    layers = layer_views(spec, parameters)
    for weight, bias in layers[:-1]:
        hidden = graph.add(
            {"relu": "Relu", "tanh": "Tanh"}[spec.activation], _linear(graph, weight, bias, hidden)
        )
    return hidden, _linear(graph, *layers[-1], hidden)


def _linear(graph: GraphWriter, weight: np.ndarray, bias: np.ndarray, inputs: str) -> str:
    return graph.add("Gemm", inputs, graph.constant(weight), graph.constant(bias), transB=1)


def _state_dependent(graph: GraphWriter, spec: NetworkSpec, log_std: np.ndarray, hidden: str) -> str:
    """Adds std_j = sqrt(sum_k (h_k s_kj)^2 + floor), as one product of h^2 with s^2."""
    variances = np.exp(2 * log_std).reshape(spec.latent, -1)  # [H, A]
    products = graph.add("MatMul", graph.add("Mul", hidden, hidden), graph.constant(variances))
    return graph.add("Sqrt", graph.add("Add", products, graph.number(VARIANCE_FLOOR)))


def _features(graph: GraphWriter, spec: NetworkSpec, images: np.ndarray, rows: str) -> str:
    """Adds the perceptron's input: the rows, choices one-hot, images after their convolutions."""
    if spec.layout.has_only_numbers:
        return rows
    places = spec.layout.places()
    parts = [rows] if len(places) == 1 else graph.split(rows, [segment.size for segment, _ in places])
    stacks, used, features = iter(spec.convolutions), 0, []
    for (segment, _), columns in zip(places, parts, strict=True):
        if segment.kind == "image":
            stack = next(stacks)
            size = sum(layer.size for layer in stack)
            planes = _planes(graph, segment, columns)
            features.append(_convolved(graph, stack, images[used : used + size], planes))
            used += size
        else:
            features.append(_expanded(graph, segment, columns))
    return features[0] if len(features) == 1 else graph.add("Concat", *features, axis=-1)


def _expanded(graph: GraphWriter, segment: Segment, columns: str) -> str:
    if segment.kind == "choice":
        alternatives = np.arange(segment.first, segment.first + segment.count, dtype=np.float32)
        return graph.add(
            "Cast", graph.add("Equal", columns, graph.constant(alternatives)), to=1
        )  # 1: float32
    return _divided(graph, segment, columns)


def _divided(graph: GraphWriter, segment: Segment, columns: str) -> str:
    if segment.divisor == 1.0:
        return columns
    return graph.add("Div", columns, graph.number(segment.divisor))


def _planes(graph: GraphWriter, segment: Segment, columns: str) -> str:
    """Adds pixels [B, H W C] as [B, C, H, W]."""
    height, width, channels = segment.image
    scaled = _divided(graph, segment, columns)
    if segment.channels_first:
        return graph.add("Reshape", scaled, graph.constant(np.array([-1, channels, height, width])))
    pixels = graph.add("Reshape", scaled, graph.constant(np.array([-1, height, width, channels])))
    return graph.add("Transpose", pixels, perm=[0, 3, 1, 2])


def _convolved(
    graph: GraphWriter, stack: tuple[Convolution, ...], parameters: np.ndarray, planes: str
) -> str:
    start = 0
    for layer in stack:
        end = start + layer.channels * layer.fan_in
        kernel = (layer.channels, layer.channels_in, layer.kernel, layer.kernel)
        weight = graph.constant(parameters[start:end].reshape(kernel))
        bias = graph.constant(parameters[end : end + layer.channels])
        start = end + layer.channels
        planes = graph.add("Conv", planes, weight, bias, strides=[layer.stride, layer.stride])
        planes = graph.add("Relu", planes)
    return graph.add("Flatten", planes, axis=1)
