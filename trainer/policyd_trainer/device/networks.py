"""A network of any spec for S members at once: parameters [S, P], rows [S, B, D].

Members are a leading dimension of the same kernels: batched matrix products, and convolutions with
a group for each member. One member alone takes the ordinary linear layer and convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from policyd_trainer.device.scaling import Scaling
from policyd_trainer.networks.images import Convolution
from policyd_trainer.networks.layout import RowLayout, Segment, features, masked
from policyd_trainer.networks.mlp import Activation
from policyd_trainer.networks.spec import NetworkSpec

Layer = tuple[Tensor, Tensor]  # weight, bias


class PopulationNetwork:
    """One network for each member. Its leaves are views of `parameters` [S, P].

    They have the order of the spec's flat vector.
    """

    def __init__(self, spec: NetworkSpec, parameters: Tensor) -> None:
        self.spec = spec
        self.members = len(parameters)
        self.leaves: list[Tensor] = []
        self._start = 0
        self._stacks = [[self._layer(parameters, c, None) for c in stack] for stack in spec.convolutions]
        self._layers = [self._layer(parameters, None, sizes) for sizes in spec.body.layers]
        self._exploration: Tensor | None = None  # [S, E]
        if spec.exploration:
            self._exploration = self._leaf(parameters, (spec.exploration,))

    def outputs(self, rows: Tensor, scaling: Scaling | None) -> Tensor:
        """Computes the networks: [S, B, D] -> [S, B, O]."""
        known = rows if scaling is None else scaling(rows)
        if known.dtype == torch.uint8:
            known = known.float()
        hidden = self._features(known)
        for weight, bias in self._layers[:-1]:
            hidden = _activated(self.spec.body.activation, _linear(hidden, weight, bias))
        return self._completed(known, hidden, _linear(hidden, *self._layers[-1]))

    def _layer(
        self, parameters: Tensor, convolution: Convolution | None, sizes: tuple[int, int] | None
    ) -> Layer:
        if convolution is not None:
            kernel = (convolution.kernel, convolution.kernel)
            weight = self._leaf(parameters, (convolution.channels, convolution.channels_in, *kernel))
            return weight, self._leaf(parameters, (convolution.channels,))
        assert sizes is not None, "a layer is one or the other"
        return self._leaf(parameters, (sizes[1], sizes[0])), self._leaf(parameters, (sizes[1],))

    def _leaf(self, parameters: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The next part of the parameters, as a tensor that autograd computes gradients for."""
        size = torch.Size(shape).numel()
        part = parameters[:, self._start : self._start + size].unflatten(1, shape)
        self._start += size
        self.leaves.append(part.detach().requires_grad_())
        return self.leaves[-1]

    def _features(self, rows: Tensor) -> Tensor:
        """The perceptron's input [S, B, F]."""
        layout = self.spec.layout
        if layout.has_only_numbers:
            return rows
        stacks = iter(self._stacks)
        shapes = iter(self.spec.convolutions)
        parts = []
        for segment, columns in layout.places():
            if segment.kind == "image":
                parts.append(self._convolved(segment, rows[..., columns], next(stacks), next(shapes)))
            else:
                flat = features(torch, RowLayout((segment,)), rows[..., columns].flatten(0, 1))
                parts.append(flat.unflatten(0, rows.shape[:2]))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def _convolved(
        self, segment: Segment, columns: Tensor, stack: list[Layer], shapes: tuple[Convolution, ...]
    ) -> Tensor:
        """Convolves pixels [S, B, H W C], with one group of channels per member -> [S, B, F]."""
        members, batch = columns.shape[:2]
        height, width, channels = segment.image
        pixels = columns / segment.divisor if segment.divisor != 1.0 else columns
        if segment.channels_first:
            planes = pixels.reshape(members, batch, channels, height, width)
        else:
            planes = pixels.reshape(members, batch, height, width, channels).permute(0, 1, 4, 2, 3)
        hidden = planes.transpose(0, 1).flatten(1, 2)  # [B, S C, H, W]
        for (weight, bias), shape in zip(stack, shapes, strict=True):
            hidden = functional.conv2d(
                hidden, weight.flatten(0, 1), bias.flatten(), stride=shape.stride, groups=members
            ).relu()
        apart: Tensor = hidden.unflatten(1, (members, -1))
        return apart.transpose(0, 1).flatten(2)

    def _completed(self, rows: Tensor, hidden: Tensor, outputs: Tensor) -> Tensor:
        """The outputs with the action mask applied, or with the logarithms of exploration added."""
        spec = self.spec
        if spec.applies_mask:
            limited: Tensor = masked(torch, spec.layout, rows.flatten(0, 1), outputs.flatten(0, 1))
            shaped: Tensor = limited.reshape(outputs.shape)
            return shaped
        if self._exploration is None:
            return outputs
        if spec.head == "log_std":
            return torch.cat((outputs, self._exploration[:, None].expand_as(outputs)), dim=-1)
        deviations = self._exploration.exp().reshape(self.members, 1, spec.latent, -1)  # [S, 1, H, A]
        return torch.cat((outputs, (hidden.detach()[..., None] * deviations).flatten(2)), dim=-1)


def _linear(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One linear layer per member: [S, B, in], [S, out, in], [S, out] -> [S, B, out]."""
    if len(inputs) == 1:
        return functional.linear(inputs[0], weight[0], bias[0])[None]
    return torch.baddbmm(bias[:, None], inputs, weight.transpose(1, 2))


def _activated(name: Activation, hidden: Tensor) -> Tensor:
    return hidden.tanh() if name == "tanh" else hidden.relu()
