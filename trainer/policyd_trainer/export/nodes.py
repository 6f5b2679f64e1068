"""Writes an ONNX graph node by node: names, constants, and the finished model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18  # version of the operators; ONNX Runtime supports it since 1.14
IR_VERSION = 8  # version of the file format that came with this opset


class GraphWriter:
    """Collects nodes and constants.

    Every method that adds a node returns the name of its result.
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Adds a node with one result, named `name`, or with a generated name if that is empty."""
        result = name or f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [result], **attributes))
        return result

    def split(self, tensor: str, sizes: Sequence[int]) -> list[str]:
        """Adds a node that cuts the last axis of `tensor` into parts of these sizes."""
        results = [f"split_{len(self._nodes)}_{part}" for part in range(len(sizes))]
        inputs = [tensor, self.constant(np.array(sizes, np.int64))]
        self._nodes.append(helper.make_node("Split", inputs, results, axis=-1))
        return results

    def constant(self, array: np.ndarray) -> str:
        """Stores an array in the model and returns its name. Equal arrays are stored once."""
        key = f"constant_{len(self._constants)}"
        stored = numpy_helper.from_array(np.ascontiguousarray(array))
        for name, other in self._constants.items():
            if (other.data_type, other.dims, other.raw_data) == (
                stored.data_type,
                stored.dims,
                stored.raw_data,
            ):
                return name
        stored.name = key
        self._constants[key] = stored
        return key

    def number(self, value: float) -> str:
        """Stores one float32 number."""
        return self.constant(np.array(value, np.float32))

    def model(
        self, inputs: dict[str, tuple[int, ...]], outputs: dict[str, tuple[int, ...]]
    ) -> onnx.ModelProto:
        """The checked model. Shapes leave out the batch, which may have any size. All is float32.

        Raises:
            onnx.checker.ValidationError: the graph is not valid.
        """
        graph = helper.make_graph(
            self._nodes, "policy", _described(inputs), _described(outputs), list(self._constants.values())
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="policyd")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model


def _described(tensors: dict[str, tuple[int, ...]]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        for name, shape in tensors.items()
    ]
