"""Multilayer perceptrons: sizes, layout of the flat parameter vector, initial weights.

The layout is torch's own: for each layer its weight [out, in] row-major, then its bias [out].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from policyd_trainer.arrays import Array

Activation = Literal["relu", "tanh"]


@dataclass(frozen=True)
class MlpSpec:
    """A perceptron's shape: linear layers, and an activation after each but the last."""

    inputs: int
    hidden_sizes: tuple[int, ...]
    outputs: int
    activation: Activation

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """(in, out) of each linear layer."""
        return tuple(pairwise((self.inputs, *self.hidden_sizes, self.outputs)))

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(fan_in * fan_out + fan_out for fan_in, fan_out in self.layers)


def layer_views(spec: MlpSpec, flat: Array) -> list[tuple[Array, Array]]:
    """(weight [out, in], bias [out]) of each layer, as views of the flat vector [P]."""
    views, start = [], 0
    for fan_in, fan_out in spec.layers:
        end = start + fan_in * fan_out
        views.append((flat[start:end].reshape(fan_out, fan_in), flat[end : end + fan_out]))
        start = end + fan_out
    return views


def uniform_parameters(spec: MlpSpec, rng: np.random.Generator) -> np.ndarray:
    """Draws weights and biases [P] from U(-1/sqrt(in), 1/sqrt(in)), as torch.nn.Linear does."""
    flat = np.empty(spec.size, np.float32)
    for (weight, bias), (fan_in, _) in zip(layer_views(spec, flat), spec.layers, strict=True):
        bound = 1 / math.sqrt(fan_in)
        weight[:] = rng.uniform(-bound, bound, weight.shape)
        bias[:] = rng.uniform(-bound, bound, bias.shape)
    return flat


def orthogonal_parameters(spec: MlpSpec, rng: np.random.Generator, *, output_gain: float) -> np.ndarray:
    """Draws orthogonal weights [P] with gain sqrt(2) (last layer: `output_gain`) and biases 0.

    Saxe et al. 2014; gains as in Andrychowicz et al. 2021, "What matters in on-policy RL".
    """
    flat = np.zeros(spec.size, np.float32)
    views = layer_views(spec, flat)
    for index, (weight, _) in enumerate(views):
        gain = output_gain if index == len(views) - 1 else math.sqrt(2)
        weight[:] = gain * _orthogonal(weight.shape, rng)
    return flat


def _orthogonal(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    q *= np.sign(np.diag(r))  # makes the decomposition unique, so that q has a uniform distribution
    return q if rows >= columns else q.T
