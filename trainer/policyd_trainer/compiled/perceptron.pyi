from typing import Any

import numpy as np

from policyd_trainer.networks.mlp import MlpSpec

class Perceptron:
    """ClosedFormMlp of `networks.closed_form` in C, for float32 numpy arrays.

    Layers are fused and buffers are reused. Matrix products work in blocks that fit the registers
    (AVX2 or AVX-512 if the processor has them).

    Raises:
        ValueError: rows have another width than the spec.
    """

    spec: MlpSpec
    parameters: Any
    gradient: Any

    def __init__(self, spec: MlpSpec, parameters: np.ndarray, gradient: np.ndarray | None = None) -> None: ...
    def outputs(self, inputs: np.ndarray) -> np.ndarray: ...
    def hidden(self, inputs: np.ndarray) -> np.ndarray: ...
    def read(self, hidden: np.ndarray) -> np.ndarray: ...
    def forward(self, inputs: np.ndarray) -> np.ndarray: ...
    @property
    def last_hidden(self) -> np.ndarray: ...
    def backward(self, output_gradient: np.ndarray) -> np.ndarray: ...
