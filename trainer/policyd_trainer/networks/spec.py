"""A network's shape: the layout of its rows, its convolutions, the perceptron, and the exploration.

Its flat parameters are, in this order, the convolutions of its images, the perceptron, and the
logarithms of exploration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from policyd_trainer.networks.images import Convolution, convolutions
from policyd_trainer.networks.layout import RowLayout
from policyd_trainer.networks.mlp import MlpSpec

Head = Literal["outputs", "log_std", "state_dependent"]


@dataclass(frozen=True)
class NetworkSpec:
    """The shape of a function from rows [B, D] to outputs [B, O]."""

    layout: RowLayout
    body: MlpSpec
    head: Head = "outputs"
    log_std_init: float = 0.0  # initial value of the logarithms of exploration
    applies_mask: bool = False  # whether outputs are logits to which the row's mask applies

    @property
    def inputs(self) -> int:
        """D, the number of columns of a row."""
        return self.layout.size

    @property
    def outputs(self) -> int:
        """O, the number of outputs."""
        return self.body.outputs + self.exploration

    @property
    def exploration(self) -> int:
        """The number of log standard deviations.

        One per element, or one per feature and element.
        """
        if self.head == "log_std":
            return self.body.outputs
        return self.body.outputs * self.latent if self.head == "state_dependent" else 0

    @property
    def latent(self) -> int:
        """The number of inputs of the perceptron's last layer."""
        return self.body.layers[-1][0]

    @property
    def convolutions(self) -> tuple[tuple[Convolution, ...], ...]:
        """The convolutions of each image of a row."""
        return tuple(convolutions(s.image) for s in self.layout.segments if s.kind == "image")

    @property
    def image_parameters(self) -> int:
        """The number of parameters that come before the perceptron's."""
        return sum(layer.size for stack in self.convolutions for layer in stack)

    @property
    def size(self) -> int:
        """P, the number of all parameters."""
        return self.image_parameters + self.body.size + self.exploration

    @property
    def is_perceptron(self) -> bool:
        """Whether the network is a perceptron and nothing else."""
        return self.layout.has_only_numbers and self.head == "outputs"

    def without_mask(self) -> NetworkSpec:
        """The same spec for rows without a mask, for the export."""
        return replace(self, layout=replace(self.layout, mask=0), applies_mask=False)


def flattened(layout: RowLayout) -> int:
    """The number of inputs of the perceptron for a row, with images after their convolutions."""
    total = 0
    for segment in layout.segments:
        total += convolutions(segment.image)[-1].flattened if segment.kind == "image" else segment.features
    return total
