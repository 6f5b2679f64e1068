"""Triton's Python backend model. Runs in Triton's stub process; imports nothing of this project."""

import os
import sys

sys.path.insert(0, os.environ["BENCHMARK_PACKAGES"])  # the stub uses no virtual environment

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

OUTPUTS = ["action_probs", "value"]


class TritonPythonModel:
    """The policy in ONNX Runtime. The requests that Triton passes together become one call."""

    def initialize(self, _args: dict[str, str]) -> None:
        """Opens the model that BENCHMARK_MODEL names."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["BENCHMARK_MODEL"], options)

    def execute(self, requests: list) -> list:
        """Makes one ONNX Runtime call for all requests, then gives each its own rows."""
        inputs = [pb_utils.get_input_tensor_by_name(r, "observations").as_numpy() for r in requests]
        joined = inputs[0] if len(inputs) == 1 else np.concatenate(inputs)
        results = self._session.run(OUTPUTS, {"observations": joined})
        responses, start = [], 0
        for rows in inputs:
            end = start + len(rows)
            tensors = [
                pb_utils.Tensor(name, result[start:end])
                for name, result in zip(OUTPUTS, results, strict=True)
            ]
            responses.append(pb_utils.InferenceResponse(tensors))
            start = end
        return responses
