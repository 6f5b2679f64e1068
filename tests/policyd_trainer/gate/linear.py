"""Small ONNX policies of known quality for CartPole."""

import numpy as np
import onnx
from onnx import TensorProto, helper


def linear_policy(weights: list[float], outputs: int = 2) -> bytes:
    """A policy whose logit difference, action 1 minus 0, is `weights` times the observation."""
    columns = np.zeros((len(weights), outputs), np.float32)
    columns[:, 1] = weights
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["observations", "weights"], ["action_logits"]),
            helper.make_node("Softmax", ["action_logits"], ["action_probs"], axis=-1),
        ],
        "linear",
        [helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["batch", len(weights)])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", outputs])
            for name in ("action_logits", "action_probs")
        ],
        [onnx.numpy_helper.from_array(columns, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


GOOD = linear_policy([0.0, 30.0, 300.0, 100.0])  # balances: near 500 with greedy actions
FAIR = linear_policy([0.0, 0.0, 10.0, 1.0])  # falls after some time
BAD = linear_policy([0.0, 0.0, -1.0, 0.0])  # falls at once
