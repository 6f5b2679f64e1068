"""The perceptron's forward and backward pass written out, for numpy and torch alike.

For layer l with input h_{l-1} [B, in], weight W_l [out, in] and bias b_l:

    z_l = h_{l-1} W_l^T + b_l,  h_l = f(z_l)         (f: the activation, identity in the last layer)
    dL/dW_l = d_l^T h_{l-1},  dL/db_l = sum_B d_l    with d_l [B, out] = dL/dz_l
    d_{l-1} = (d_l W_l) * f'(z_{l-1})                (f' written in terms of f's output h_{l-1})

(Rumelhart, Hinton and Williams 1986.) Tests compare it with autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policyd_trainer.arrays import Array, Backend
from policyd_trainer.networks.mlp import Activation, MlpSpec, layer_views


class ClosedFormMlp:
    """A perceptron whose gradient is computed in closed form. Inputs are [B, in]."""

    def __init__(
        self, spec: MlpSpec, parameters: Array, backend: Backend, gradient: Array | None = None
    ) -> None:
        self.spec = spec
        self.parameters = parameters  # [P]
        self.gradient = backend.xp.zeros_like(parameters) if gradient is None else gradient  # [P]
        self._xp = backend.xp
        self._layers = layer_views(spec, parameters)
        self._gradients = layer_views(spec, self.gradient)
        self._activate, self._derive = _activation(spec.activation, backend.xp)
        self._hidden: list[Array] = []  # inputs of each layer in the last `forward`

    def outputs(self, inputs: Array) -> Array:
        """[B, in] -> [B, out]."""
        return self.read(self.hidden(inputs))

    def hidden(self, inputs: Array) -> Array:
        """The input of the last layer [B, H]."""
        hidden = inputs
        for weight, bias in self._layers[:-1]:
            hidden = hidden @ weight.T
            hidden += bias
            self._activate(hidden)
        return hidden

    def read(self, hidden: Array) -> Array:
        """The last layer: [B, H] -> [B, out]."""
        weight, bias = self._layers[-1]
        result = hidden @ weight.T
        result += bias
        return result

    def forward(self, inputs: Array) -> Array:
        """[B, in] -> [B, out]. Keeps each layer's input for `backward`."""
        self._hidden = [inputs]
        for weight, bias in self._layers[:-1]:
            hidden = self._hidden[-1] @ weight.T
            hidden += bias
            self._activate(hidden)
            self._hidden.append(hidden)
        return self.read(self._hidden[-1])

    @property
    def last_hidden(self) -> Array:
        """The input of the last layer in the last `forward` [B, H]."""
        return self._hidden[-1]

    def backward(self, output_gradient: Array) -> Array:
        """Fills and returns `gradient` [P] for the last `forward`."""
        delta = output_gradient  # [B, out]
        for index in range(len(self._layers) - 1, -1, -1):
            weight_gradient, bias_gradient = self._gradients[index]
            self._xp.matmul(delta.T, self._hidden[index], out=weight_gradient)
            self._xp.sum(delta, axis=0, out=bias_gradient)
            if index > 0:
                delta = delta @ self._layers[index][0]
                self._derive(delta, self._hidden[index])
        return self.gradient


def _activation(name: Activation, xp: Any) -> tuple[Callable[[Array], None], Callable[[Array, Array], None]]:
    """Two functions in place: h <- f(h), and d <- d * f', where f' comes from the value f(h)."""
    return {"relu": (_relu, _derive_relu), "tanh": (lambda hidden: _tanh(hidden, xp), _derive_tanh)}[name]


def _relu(hidden: Array) -> None:
    hidden *= hidden > 0


def _derive_relu(delta: Array, hidden: Array) -> None:
    delta *= hidden > 0


def _tanh(hidden: Array, xp: Any) -> None:
    xp.tanh(hidden, out=hidden)


def _derive_tanh(delta: Array, hidden: Array) -> None:
    delta *= 1 - hidden * hidden
