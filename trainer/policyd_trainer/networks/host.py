"""Networks on the CPU in numpy, for acting: no gradients, and no torch but for images."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np

from policyd_trainer.arrays import NumpyBackend
from policyd_trainer.networks.composed import ComposedNetwork
from policyd_trainer.networks.perceptrons import perceptron
from policyd_trainer.networks.spec import NetworkSpec

Outputs = Callable[[np.ndarray], np.ndarray]  # [N, D] -> [N, O]


def host_outputs(spec: NetworkSpec, parameters: np.ndarray) -> Outputs:
    """The network's outputs in numpy, as a function that reads `parameters` [P] at each call."""
    if spec.is_perceptron:
        return perceptron(spec.body, parameters, NumpyBackend()).outputs
    if not spec.layout.has_images:
        return ComposedNetwork(spec, parameters, NumpyBackend()).outputs
    convolved: Outputs = importlib.import_module("policyd_trainer.networks.autograd").numpy_outputs(
        spec, parameters
    )
    return convolved
