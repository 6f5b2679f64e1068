"""A perceptron with one-hot inputs, action masks and exploration, in closed form.

It works on numpy and torch alike. Images need `modules` and autograd.
"""

from __future__ import annotations

from typing import Any

from policyd_trainer.arrays import Array, Backend
from policyd_trainer.networks.layout import features, masked
from policyd_trainer.networks.perceptrons import perceptron
from policyd_trainer.networks.spec import NetworkSpec


class ComposedNetwork:
    """A network in numpy or torch for a spec without images, with its gradient in closed form."""

    def __init__(self, spec: NetworkSpec, parameters: Array, backend: Backend) -> None:
        self.spec = spec
        self.parameters = parameters  # [P]
        self.gradient = backend.xp.zeros_like(parameters)  # [P]
        self._xp: Any = backend.xp
        split = spec.body.size
        self._body = perceptron(spec.body, parameters[:split], backend, self.gradient[:split])
        self._log_std = parameters[split:]  # [A], or [H A] row-major
        self._log_std_gradient = self.gradient[split:]
        self._products: Array | None = None  # F [B, H, A] of the last `forward`

    def outputs(self, inputs: Array) -> Array:
        """[B, D] -> [B, O]."""
        hidden = self._body.hidden(self._features(inputs))
        return self._completed(inputs, hidden, self._body.read(hidden))

    def forward(self, inputs: Array) -> Array:
        """[B, D] -> [B, O]. Keeps what `backward` needs."""
        outputs = self._body.forward(self._features(inputs))
        return self._completed(inputs, self._body.last_hidden, outputs)

    def backward(self, output_gradient: Array) -> Array:
        """Fills and returns `gradient` [P] for the last `forward`.

        The exploration part has no gradient for the features, as in the paper on gSDE.
        """
        width = self.spec.body.outputs
        self._body.backward(output_gradient[:, :width])
        if self.spec.head == "log_std":
            self._log_std_gradient[:] = output_gradient[:, width:].sum(0)
        elif self.spec.head == "state_dependent":
            assert self._products is not None, "backward follows forward"
            self._log_std_gradient[:] = (output_gradient[:, width:] * self._products).sum(0)
        return self.gradient

    def _features(self, rows: Array) -> Array:
        return rows if self.spec.layout.has_only_numbers else features(self._xp, self.spec.layout, rows)

    def _completed(self, rows: Array, hidden: Array, outputs: Array) -> Array:
        if self.spec.applies_mask:
            return masked(self._xp, self.spec.layout, rows, outputs)
        if self.spec.head == "outputs":
            return outputs
        if self.spec.head == "log_std":
            explored = self._xp.broadcast_to(self._log_std, outputs.shape)
        else:
            deviations = self._xp.exp(self._log_std).reshape(self.spec.latent, -1)  # [H, A]
            explored = (hidden[:, :, None] * deviations).reshape(len(outputs), -1)
            self._products = explored
        return self._xp.concatenate((outputs, explored), axis=-1)
