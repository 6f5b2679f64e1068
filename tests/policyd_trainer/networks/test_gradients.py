"""The closed-form backward pass against autograd, in numpy and in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from policyd_trainer.arrays import Backend, NumpyBackend, TorchBackend
from policyd_trainer.networks.autograd import AutogradNetwork
from policyd_trainer.networks.closed_form import ClosedFormMlp
from policyd_trainer.networks.mlp import (
    Activation,
    MlpSpec,
    layer_views,
    orthogonal_parameters,
    uniform_parameters,
)
from policyd_trainer.networks.modules import perceptron
from tests.policyd_trainer.flat import load_flat

specs = st.builds(
    MlpSpec,
    inputs=st.integers(1, 5),
    hidden_sizes=st.lists(st.integers(1, 6), max_size=3).map(tuple),
    outputs=st.integers(1, 4),
    activation=st.sampled_from(["relu", "tanh"]),
)


@pytest.mark.parametrize("backend", [NumpyBackend(), TorchBackend("cpu")], ids=["numpy", "torch"])
@given(spec=specs, rows=st.integers(1, 7), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_closed_form_agrees_with_autograd(backend: Backend, spec: MlpSpec, rows: int, seed: int) -> None:
    """Outputs and gradients equal autograd's, to 1e-12 in double precision."""
    rng = np.random.default_rng(seed)
    parameters = uniform_parameters(spec, rng).astype(np.float64)
    inputs, output_gradient = rng.normal(size=(rows, spec.inputs)), rng.normal(size=(rows, spec.outputs))
    network = ClosedFormMlp(spec, backend.asarray(parameters.copy()), backend)
    general = AutogradNetwork(perceptron(spec).double(), torch.from_numpy(parameters.copy()))

    outputs = backend.to_numpy(network.forward(backend.asarray(inputs)))
    gradient = backend.to_numpy(network.backward(backend.asarray(output_gradient)))

    np.testing.assert_allclose(outputs, general.forward(torch.from_numpy(inputs)).numpy(), atol=1e-12)
    expected = general.backward(torch.from_numpy(output_gradient)).numpy()
    np.testing.assert_allclose(gradient, expected, atol=1e-12)
    np.testing.assert_allclose(
        backend.to_numpy(network.outputs(backend.asarray(inputs))), outputs, atol=1e-12
    )


def test_autograd_parameters_are_views() -> None:
    """A step on the flat vector is a step of the module, because they share memory."""
    spec = MlpSpec(2, (3,), 1, "tanh")
    flat = torch.zeros(spec.size)
    network = AutogradNetwork(perceptron(spec), flat)
    flat += 1.0
    assert all(bool((tensor == 1).all()) for tensor in network.module.parameters())
    with pytest.raises(ValueError, match="parameters"):
        AutogradNetwork(perceptron(spec), torch.zeros(spec.size + 1))


def test_layout_is_torchs() -> None:
    """The flat vector has the layers in the order of torch's parameters()."""
    spec = MlpSpec(3, (4,), 2, "relu")
    module = perceptron(spec)
    flat = np.arange(spec.size, dtype=np.float32)
    load_flat(module, flat)
    for (weight, bias), layer in zip(layer_views(spec, flat), list(module)[::2], strict=True):
        assert isinstance(layer, torch.nn.Linear)
        np.testing.assert_array_equal(weight, layer.weight.detach().numpy())
        np.testing.assert_array_equal(bias, layer.bias.detach().numpy())


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_initial_weights(activation: Activation) -> None:
    """`uniform` has the bounds and the spread of torch.nn.Linear.

    `orthogonal` has orthogonal rows and zero biases.
    """
    spec = MlpSpec(100, (64,), 4, activation)
    (weight, bias), _ = layer_views(spec, uniform_parameters(spec, np.random.default_rng(0)))
    reference = torch.nn.Linear(100, 64).weight
    assert float(np.abs(weight).max()) <= 0.1
    assert abs(float(weight.std()) - reference.std().item()) < 0.005
    assert float(np.abs(bias).max()) <= 0.1
    flat = orthogonal_parameters(spec, np.random.default_rng(0), output_gain=0.01)
    (first, bias), (last, _) = layer_views(spec, flat)
    np.testing.assert_allclose(first @ first.T, 2 * np.eye(64), atol=1e-5)
    np.testing.assert_allclose(last @ last.T, 1e-4 * np.eye(4), atol=1e-8)
    assert not bias.any()
