"""What an algorithm needs of a network."""

from __future__ import annotations

from typing import Protocol

from policyd_trainer.arrays import Array


class Network(Protocol):
    """A function of observations with one flat vector of parameters.

    An algorithm only says how its loss changes with the outputs, so the code that computes
    gradients can be replaced.
    """

    parameters: Array  # [P], updated in place by the optimiser
    gradient: Array  # [P], filled by backward

    def outputs(self, inputs: Array) -> Array:
        """[B, *shape] -> [B, O]. Keeps nothing for a gradient."""

    def forward(self, inputs: Array) -> Array:
        """[B, *shape] -> [B, O]. Keeps what `backward` needs."""

    def backward(self, output_gradient: Array) -> Array:
        """The gradient d loss / d parameters [P].

        `output_gradient` is d loss / d outputs [B, O] of the last `forward`.
        """
