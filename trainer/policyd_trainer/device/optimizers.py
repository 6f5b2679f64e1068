"""Optimisers over flat vectors [S, P] whose rates and step counts are tensors on the device.

The formulas are those of `optimization.optimizers`. A captured CUDA graph repeats the numbers that
it was recorded with, so whatever changes from step to step must be a tensor.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from policyd_trainer.optimization.optimizers import OptimizerName


class DeviceOptimizer(Protocol):
    """Steps parameters down a gradient, all in place."""

    moments: dict[str, Tensor]  # the state, as named tensors

    def step(self, parameters: Tensor, gradient: Tensor, rate: Tensor) -> None:
        """Updates `parameters` [S, P] by `gradient` [S, P] with the learning rate `rate` []."""


class DeviceAdam:
    """See `optimization.optimizers.Adam`."""

    def __init__(self, parameters: Tensor, eps: float) -> None:
        self._eps = eps
        self._steps = torch.zeros((), dtype=torch.float64, device=parameters.device)
        self._mean, self._square = torch.zeros_like(parameters), torch.zeros_like(parameters)
        self.moments = {"steps": self._steps, "mean": self._mean, "square": self._square}

    def step(self, parameters: Tensor, gradient: Tensor, rate: Tensor) -> None:
        """One step."""
        beta1, beta2 = 0.9, 0.999
        self._steps += 1
        self._mean.lerp_(gradient, 1 - beta1)
        self._square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = (1 - beta2**self._steps).rsqrt().to(parameters.dtype)
        corrected = (rate / (1 - beta1**self._steps)).to(parameters.dtype)
        parameters -= self._mean / (self._square.sqrt() * root + self._eps) * corrected


class DeviceRmsProp:
    """See `optimization.optimizers.RmsProp`."""

    def __init__(self, parameters: Tensor, eps: float, *, eps_inside_root: bool) -> None:
        self._eps, self._inside = eps, eps_inside_root
        self._square = torch.zeros_like(parameters)
        self.moments = {"square": self._square}

    def step(self, parameters: Tensor, gradient: Tensor, rate: Tensor) -> None:
        """One step."""
        alpha = 0.99
        self._square.mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
        root = (self._square + self._eps).sqrt() if self._inside else self._square.sqrt() + self._eps
        parameters -= gradient / root * rate.to(parameters.dtype)


class DeviceSgd:
    """See `optimization.optimizers.Sgd`."""

    def __init__(self) -> None:
        self.moments: dict[str, Tensor] = {}

    def step(self, parameters: Tensor, gradient: Tensor, rate: Tensor) -> None:
        """One step."""
        parameters -= gradient * rate.to(parameters.dtype)


def make_optimizer(name: OptimizerName, parameters: Tensor, eps: float) -> DeviceOptimizer:
    """The optimiser of that name with fresh moments."""
    if name == "adam":
        return DeviceAdam(parameters, eps)
    if name == "sgd":
        return DeviceSgd()
    return DeviceRmsProp(parameters, eps, eps_inside_root=name == "rmsprop_a2c")


def clip_by_norm(gradient: Tensor, max_norm: float | None) -> Tensor:
    """Scales each member's gradient [S, P] in place to a norm of at most `max_norm`.

    Returns the norms before [S].
    """
    norms = gradient.square().sum(dim=1).sqrt()
    if max_norm is not None:
        gradient *= (max_norm / (norms + 1e-6)).clamp(max=1.0)[:, None]
    return norms
