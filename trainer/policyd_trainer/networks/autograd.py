"""Any torch module as a Network: the general gradient engine.

This module imports torch; import it only where a run needs it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from policyd_trainer.networks.modules import NetworkModule
from policyd_trainer.networks.spec import NetworkSpec


class AutogradNetwork:
    """A torch module whose parameters are views of one flat vector.

    The first dimension of inputs and outputs is the batch.
    """

    def __init__(self, module: nn.Module, parameters: Tensor) -> None:
        self.module = module
        self.parameters = parameters  # [P]
        self.gradient = torch.zeros_like(parameters)  # [P]
        self._tensors = list(module.parameters())
        _rebase(self._tensors, parameters)
        self._last: Tensor | None = None

    def outputs(self, inputs: Tensor) -> Tensor:
        """Computes the network without a gradient: [B, *shape] -> [B, O]."""
        with torch.inference_mode():
            result: Tensor = self.module(inputs)
        return result

    def forward(self, inputs: Tensor) -> Tensor:
        """Computes the network and keeps autograd's graph: [B, *shape] -> [B, O]."""
        self._last = self.module(inputs)
        return self._last.detach()

    def backward(self, output_gradient: Tensor) -> Tensor:
        """Fills and returns `gradient` [P] for the last `forward`."""
        assert self._last is not None, "backward follows forward"
        gradients = torch.autograd.grad(self._last, self._tensors, output_gradient)
        torch.cat([gradient.reshape(-1) for gradient in gradients], out=self.gradient)
        self._last = None
        return self.gradient


def numpy_outputs(spec: NetworkSpec, parameters: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A network of any spec as a function of numpy rows [N, D].

    It reads `parameters` [P] at each call.
    """
    network = AutogradNetwork(NetworkModule(spec), torch.from_numpy(parameters))
    return lambda rows: network.outputs(torch.from_numpy(np.ascontiguousarray(rows))).numpy()


def _rebase(tensors: list[nn.Parameter], flat: Tensor) -> None:
    """Makes each parameter a view of its part of the flat vector, with the vector's numbers."""
    start = 0
    for tensor in tensors:
        end = start + tensor.numel()
        tensor.data = flat[start:end].view_as(tensor)
        start = end
    if start != flat.numel():
        raise ValueError(f"the module has {start} parameters, the vector {flat.numel()}")
