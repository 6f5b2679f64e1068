"""Networks on the CPU in numpy, for acting: no gradients, and no torch but for images."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np

from trainer.arrays import NumpyBackend
from trainer.networks.closed_form import ClosedFormMlp
from trainer.networks.composed import ComposedNetwork
from trainer.networks.spec import NetworkSpec

Outputs = Callable[[np.ndarray], np.ndarray]  # [N, D] -> [N, O]


def host_outputs(spec: NetworkSpec, parameters: np.ndarray) -> Outputs:
    """The network's outputs as a function that reads `parameters` [P] at each call."""
    if spec.is_plain:
        return ClosedFormMlp(spec.body, parameters, NumpyBackend()).outputs
    if not spec.rows.has_images:
        return ComposedNetwork(spec, parameters, NumpyBackend()).outputs
    convolved: Outputs = importlib.import_module("trainer.networks.autograd").numpy_outputs(spec, parameters)
    return convolved
