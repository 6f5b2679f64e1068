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
    """A function from rows [B, D] to outputs [B, O]."""

    layout: RowLayout
    body: MlpSpec
    head: Head = "outputs"
    log_std_init: float = 0.0  # where the logarithms of exploration begin
    applies_mask: bool = False  # the outputs are logits, and the row's mask counts

    @property
    def inputs(self) -> int:
        """D: columns of a row."""
        return self.layout.size

    @property
    def outputs(self) -> int:
        """O: numbers that come out."""
        return self.body.outputs + self.exploration

    @property
    def exploration(self) -> int:
        """Logarithms of deviations: one an element, or one a feature and element."""
        if self.head == "log_std":
            return self.body.outputs
        return self.body.outputs * self.latent if self.head == "state_dependent" else 0

    @property
    def latent(self) -> int:
        """Features that the perceptron's last layer reads."""
        return self.body.layers[-1][0]

    @property
    def convolutions(self) -> tuple[tuple[Convolution, ...], ...]:
        """Of each image of a row."""
        return tuple(convolutions(s.image) for s in self.layout.segments if s.kind == "image")

    @property
    def image_parameters(self) -> int:
        """Parameters before the perceptron's."""
        return sum(layer.size for stack in self.convolutions for layer in stack)

    @property
    def size(self) -> int:
        """P: all parameters."""
        return self.image_parameters + self.body.size + self.exploration

    @property
    def is_perceptron(self) -> bool:
        """Whether the perceptron is all there is."""
        return self.layout.has_only_numbers and self.head == "outputs"

    def without_mask(self) -> NetworkSpec:
        """The same for rows that no mask follows: what is exported."""
        return replace(self, layout=replace(self.layout, mask=0), applies_mask=False)


def flattened(layout: RowLayout) -> int:
    """Numbers that the perceptron takes for a row: images after their convolutions."""
    total = 0
    for segment in layout.segments:
        total += convolutions(segment.image)[-1].flattened if segment.kind == "image" else segment.features
    return total
