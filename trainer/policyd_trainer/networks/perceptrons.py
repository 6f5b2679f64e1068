"""Which engine computes a perceptron: compiled where that is possible, otherwise in array calls."""

from __future__ import annotations

from typing import Protocol

from policyd_trainer import compiled
from policyd_trainer.arrays import Array, Backend, is_compiled
from policyd_trainer.networks.closed_form import ClosedFormMlp
from policyd_trainer.networks.interface import Network
from policyd_trainer.networks.mlp import MlpSpec


class PerceptronNetwork(Network, Protocol):
    """A perceptron that shows its last hidden layer."""

    def hidden(self, inputs: Array) -> Array:
        """The input of the last layer [B, H]."""

    def read(self, hidden: Array) -> Array:
        """The last layer: [B, H] -> [B, out]."""

    @property
    def last_hidden(self) -> Array:
        """The input of the last layer in the last `forward` [B, H]."""


def perceptron(
    spec: MlpSpec, parameters: Array, backend: Backend, gradient: Array | None = None
) -> PerceptronNetwork:
    """A perceptron with these flat parameters [P], which it shares with the caller.

    `backward` fills `gradient` [P].
    """
    if is_compiled(backend.xp, parameters):
        network: PerceptronNetwork = compiled.perceptron.Perceptron(spec, parameters, gradient)
        return network
    return ClosedFormMlp(spec, parameters, backend, gradient)
