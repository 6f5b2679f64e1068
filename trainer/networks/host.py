"""Networks on the CPU in numpy, for acting: no gradients, no torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trainer.arrays import NumpyBackend
from trainer.networks.closed_form import ClosedFormMlp
from trainer.networks.mlp import MlpSpec

Outputs = Callable[[np.ndarray], np.ndarray]  # [N, D] -> [N, O]


def host_outputs(spec: MlpSpec, parameters: np.ndarray) -> Outputs:
    """The network's outputs as a function that reads `parameters` [P] at each call."""
    return ClosedFormMlp(spec, parameters, NumpyBackend()).outputs
