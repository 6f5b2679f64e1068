"""MLServer's custom runtime.

Runs in the peer's own environment; imports nothing of this project.
"""

import os

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

OUTPUTS = ["action_probs", "value"]


class PolicyRuntime(MLModel):
    """The policy in ONNX Runtime, as MLServer's documentation builds a runtime."""

    async def load(self) -> bool:
        """Opens the model that BENCHMARK_MODEL names."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["BENCHMARK_MODEL"], options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Computes probabilities and values for observations."""
        observations = NumpyCodec.decode_input(payload.inputs[0])
        results = self._session.run(OUTPUTS, {"observations": observations})
        outputs = [
            NumpyCodec.encode_output(name, result) for name, result in zip(OUTPUTS, results, strict=True)
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
