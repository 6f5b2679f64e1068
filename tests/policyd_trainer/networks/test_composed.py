"""Networks with one-hot rows, masks, exploration and images.

Closed form, torch module and export agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from policyd_trainer.arrays import NumpyBackend, TorchBackend
from policyd_trainer.networks.autograd import AutogradNetwork, numpy_outputs
from policyd_trainer.networks.composed import ComposedNetwork
from policyd_trainer.networks.host import host_outputs
from policyd_trainer.networks.images import convolutions
from policyd_trainer.networks.layout import RowLayout, Segment
from policyd_trainer.networks.mlp import MlpSpec
from policyd_trainer.networks.modules import NetworkModule
from policyd_trainer.networks.spec import Head, NetworkSpec, flattened

CHOICES = RowLayout(
    (Segment("numbers", 3, divisor=2.0), Segment("choice", 1, -1, 4), Segment("choice", 1, 0, 3))
)
MASKED = RowLayout(CHOICES.segments, mask=5)
PIXELS = RowLayout((Segment("image", 300, image=(10, 10, 3), divisor=255.0), Segment("choice", 1, 0, 3)))


def _spec(rows: RowLayout, head: Head = "outputs", outputs: int = 5) -> NetworkSpec:
    body = MlpSpec(flattened(rows), (7, 6), outputs, "tanh")
    return NetworkSpec(rows, body, head, applies_mask=rows.mask > 0)


def _rows(layout: RowLayout, count: int = 9) -> Any:
    rng = np.random.default_rng(0)
    columns = [
        rng.integers(s.first, s.first + s.count, (count, 1))
        if s.kind == "choice"
        else rng.normal(size=(count, s.size))
        for s in layout.segments
    ]
    mask = rng.integers(0, 2, (count, layout.mask))
    mask[:, :1] = 1
    return np.concatenate([*columns, mask], axis=1)


def _parameters(spec: NetworkSpec) -> Any:
    return np.random.default_rng(1).normal(0, 0.3, spec.size)


@pytest.mark.parametrize(
    "spec",
    [
        _spec(CHOICES),
        _spec(MASKED),
        _spec(CHOICES, "log_std"),
        _spec(RowLayout.of_numbers(4), "state_dependent", 2),
    ],
    ids=["choices", "masked", "log_std", "state_dependent"],
)
def test_closed_form_agrees_with_autograd(spec: NetworkSpec) -> None:
    """Outputs and gradients in numpy and torch equal those of the torch module."""
    rows, parameters = _rows(spec.layout), _parameters(spec)
    module = AutogradNetwork(NetworkModule(spec).double(), torch.tensor(parameters))
    wanted = module.forward(torch.tensor(rows))
    direction = np.random.default_rng(2).normal(size=wanted.shape)
    if spec.applies_mask:
        direction *= rows[:, -spec.layout.mask :]  # the part of the gradient that the softmax keeps
    gradient = module.backward(torch.tensor(direction)).numpy()
    for backend in (NumpyBackend(), TorchBackend("cpu")):
        network = ComposedNetwork(spec, backend.asarray(parameters.copy()), backend)
        outputs = network.forward(backend.asarray(rows))
        np.testing.assert_allclose(backend.to_numpy(outputs), wanted.numpy(), rtol=1e-10)
        np.testing.assert_allclose(network.outputs(backend.asarray(rows)), wanted.numpy(), rtol=1e-10)
        network.backward(backend.asarray(direction))
        np.testing.assert_allclose(backend.to_numpy(network.gradient), gradient, rtol=1e-8, atol=1e-10)


def test_masked_logits_are_out_of_reach() -> None:
    """If the mask is 0 the logit is -1e8, otherwise the network's own."""
    spec = _spec(MASKED)
    rows, parameters = _rows(MASKED).astype(np.float32), _parameters(spec).astype(np.float32)
    masked, mask = host_outputs(spec, parameters)(rows), rows[:, -5:] > 0.5
    free = host_outputs(spec.without_mask(), parameters)(rows[:, :-5])
    np.testing.assert_array_equal(masked[mask], free[mask])
    assert (masked[~mask] == -1e8).all()


def test_images_are_convolved() -> None:
    """An image's planes equal those of torch's own convolution, for both orders of pixels."""
    spec = _spec(PIXELS)
    rows, parameters = _rows(PIXELS).astype(np.float32), _parameters(spec).astype(np.float32)
    outputs = numpy_outputs(spec, parameters)(rows)
    first = RowLayout(
        (Segment("image", 300, image=(10, 10, 3), channels_first=True, divisor=255.0), *PIXELS.segments[1:])
    )
    turned = rows.copy()
    turned[:, :300] = rows[:, :300].reshape(-1, 10, 10, 3).transpose(0, 3, 1, 2).reshape(-1, 300)
    np.testing.assert_allclose(numpy_outputs(_spec(first), parameters)(turned), outputs, rtol=1e-5, atol=1e-6)
    module = NetworkModule(spec)
    torch.nn.utils.vector_to_parameters(torch.tensor(parameters), module.parameters())
    planes = torch.tensor(rows[:, :300].reshape(-1, 10, 10, 3) / 255).permute(0, 3, 1, 2)
    choice = torch.nn.functional.one_hot(torch.tensor(rows[:, 300]).long(), 3)
    joined = torch.cat([module.images[0](planes).flatten(1), choice], dim=1)
    np.testing.assert_allclose(module.body(joined).detach().numpy(), outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [5, 7, 10, 11, 16, 20, 36, 61, 64, 84, 96, 210])
def test_convolutions_fit_any_image(side: int) -> None:
    """For any size the layers leave some pixels and not too many numbers."""
    layers = convolutions((side, side + 3, 3))
    assert min(layers[-1].height, layers[-1].width) >= 1
    assert layers[-1].flattened <= 20_000
    shape = (1, 3, side, side + 3)
    image = torch.zeros(shape)
    for layer in layers:
        image = torch.nn.Conv2d(layer.channels_in, layer.channels, layer.kernel, layer.stride)(image)
        assert image.shape == (1, layer.channels, layer.height, layer.width)
