"""A network of any spec as a torch module, for export and for autograd.

Its parameters have the order of the spec's flat vector.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from policyd_trainer.networks.images import Convolution
from policyd_trainer.networks.layout import Segment, features, masked
from policyd_trainer.networks.mlp import MlpSpec
from policyd_trainer.networks.spec import NetworkSpec


class NetworkModule(nn.Module):
    """Rows [B, D] -> outputs [B, O]: the same function as ComposedNetwork, and images too."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.images = nn.ModuleList([_convolved(stack) for stack in spec.convolutions])
        self.body = perceptron(spec.body)
        # A list, because a module's own parameters would come before those of its submodules.
        self.exploration = nn.ParameterList([torch.zeros(spec.exploration)] if spec.exploration else [])

    def forward(self, rows: Tensor) -> Tensor:
        """The distribution's parameters, or the value, for rows [B, D]."""
        hidden = self.body[:-1](self._features(rows))
        outputs: Tensor = self.body[-1](hidden)
        if self.spec.applies_mask:
            limited: Tensor = masked(torch, self.spec.layout, rows, outputs)
            return limited
        if not self.spec.exploration:
            return outputs
        log_std = self.exploration[0]
        if self.spec.head == "log_std":
            return torch.cat((outputs, log_std.expand_as(outputs)), dim=-1)
        deviations = log_std.exp().reshape(self.spec.latent, -1)  # [H, A]
        return torch.cat((outputs, (hidden.detach()[:, :, None] * deviations).flatten(1)), dim=-1)

    def _features(self, rows: Tensor) -> Tensor:
        spec = self.spec.layout
        if spec.has_only_numbers:
            return rows
        if not spec.has_images:
            expanded: Tensor = features(torch, spec, rows)
            return expanded
        stacks = iter(self.images)
        parts = []
        for segment, columns in spec.places():
            if segment.kind == "image":
                parts.append(next(stacks)(_planes(segment, rows[:, columns])).flatten(1))
            else:
                parts.append(features(torch, type(spec)((segment,)), rows[:, columns]))
        return torch.cat(parts, dim=-1)


def perceptron(spec: MlpSpec) -> nn.Sequential:
    """Linear layers with an activation between them."""
    activation: type[nn.Module] = {"relu": nn.ReLU, "tanh": nn.Tanh}[spec.activation]
    layers: list[nn.Module] = []
    for index, (fan_in, fan_out) in enumerate(spec.layers):
        if index:
            layers.append(activation())
        layers.append(nn.Linear(fan_in, fan_out))
    return nn.Sequential(*layers)


def _convolved(stack: tuple[Convolution, ...]) -> nn.Sequential:
    layers: list[Any] = []
    for layer in stack:
        layers += [nn.Conv2d(layer.channels_in, layer.channels, layer.kernel, layer.stride), nn.ReLU()]
    return nn.Sequential(*layers)


def _planes(segment: Segment, columns: Tensor) -> Tensor:
    """Reshapes pixels [B, H W C] to [B, C, H, W]."""
    height, width, channels = segment.image
    scaled = columns / segment.divisor
    if segment.channels_first:
        return scaled.reshape(-1, channels, height, width)
    return scaled.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
