"""Adam, RMSProp and SGD over one flat parameter vector, for numpy and torch alike.

Same formulas and order as torch.optim (tests compare), except `rmsprop_a2c`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol

from policyd_trainer import compiled
from policyd_trainer.arrays import Array, is_compiled

OptimizerName = Literal["adam", "rmsprop", "rmsprop_a2c", "sgd"]


class Optimizer(Protocol):
    """Steps a parameter vector down a gradient."""

    steps: int  # steps taken so far
    moments: dict[str, Array]  # the state, each array [P]

    def step(self, parameters: Array, gradient: Array, learning_rate: float) -> None:
        """Updates `parameters` [P] in place; may overwrite `gradient` [P]."""


class Adam:
    """m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  p <- p - lr m^ / (sqrt(v^) + eps).

    m^ = m / (1 - b1^t), v^ = v / (1 - b2^t). Kingma and Ba 2015, algorithm 1.
    """

    def __init__(self, xp: Any, parameters: Array, eps: float) -> None:
        self.steps = 0
        self.eps = eps  # is added to the root of the second moment
        self._xp = xp
        self._mean = xp.zeros_like(parameters)
        self._square = xp.zeros_like(parameters)
        self._scratch = xp.zeros_like(parameters)
        self._fast = compiled.updates if is_compiled(xp, parameters) else None
        self.moments = {"mean": self._mean, "square": self._square}

    def step(self, parameters: Array, gradient: Array, learning_rate: float) -> None:
        """One step."""
        self.steps += 1
        xp, scratch, beta1, beta2 = self._xp, self._scratch, 0.9, 0.999
        if self._fast is not None:
            moments = (self._mean, self._square)
            self._fast.adam_step(parameters, gradient, *moments, self.steps, self.eps, learning_rate)
            return
        xp.multiply(gradient, gradient, out=scratch)
        scratch *= 1 - beta2
        self._square *= beta2
        self._square += scratch
        gradient *= 1 - beta1
        self._mean *= beta1
        self._mean += gradient
        xp.sqrt(self._square, out=scratch)
        scratch *= 1 / math.sqrt(1 - beta2**self.steps)
        scratch += self.eps
        xp.divide(self._mean, scratch, out=scratch)
        scratch *= learning_rate / (1 - beta1**self.steps)
        parameters -= scratch


class RmsProp:
    """v <- a v + (1 - a) g^2;  p <- p - lr g / (sqrt(v) + eps), a = 0.99 (torch.optim.RMSprop).

    With `eps_inside_root` p <- p - lr g / sqrt(v + eps): Mnih et al. 2016 (A3C), equations S2 and
    S3.
    """

    def __init__(self, xp: Any, parameters: Array, eps: float, *, eps_inside_root: bool) -> None:
        self.steps = 0
        self._xp, self._eps, self._inside = xp, eps, eps_inside_root
        self._square = xp.zeros_like(parameters)
        self._scratch = xp.zeros_like(parameters)
        self.moments = {"square": self._square}

    def step(self, parameters: Array, gradient: Array, learning_rate: float) -> None:
        """One step."""
        self.steps += 1
        xp, scratch, alpha = self._xp, self._scratch, 0.99
        xp.multiply(gradient, gradient, out=scratch)
        scratch *= 1 - alpha
        self._square *= alpha
        self._square += scratch
        if self._inside:
            xp.add(self._square, self._eps, out=scratch)
            xp.sqrt(scratch, out=scratch)
        else:
            xp.sqrt(self._square, out=scratch)
            scratch += self._eps
        xp.divide(gradient, scratch, out=scratch)
        scratch *= learning_rate
        parameters -= scratch


class Sgd:
    """p <- p - lr g."""

    def __init__(self) -> None:
        self.steps = 0
        self.moments: dict[str, Array] = {}

    def step(self, parameters: Array, gradient: Array, learning_rate: float) -> None:
        """One step."""
        self.steps += 1
        gradient *= learning_rate
        parameters -= gradient


def make_optimizer(name: OptimizerName, xp: Any, parameters: Array, eps: float) -> Optimizer:
    """The optimiser of that name, with fresh moments for `parameters` [P]."""
    if name == "adam":
        return Adam(xp, parameters, eps)
    if name == "sgd":
        return Sgd()
    return RmsProp(xp, parameters, eps, eps_inside_root=name == "rmsprop_a2c")
