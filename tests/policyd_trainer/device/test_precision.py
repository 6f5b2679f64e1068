"""How exactly products are computed, as docs/guide/gpu.md states it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from benchmarks.gpu.tasks import task
from policyd_trainer.device.precision import Precision, autocast, set_products

CPU = torch.device("cpu")
STATED = {"float32": 1e-6, "bf16": 1e-2}  # relative error of a product


@pytest.fixture(autouse=True)
def _flags() -> Iterator[None]:
    """Afterwards the process computes as before."""
    yield
    set_products("float32")


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_product_has_the_stated_error(precision: Precision) -> None:
    """Products of 512 x 512 matrices are compared with float64."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(512, 512, generator=generator) for _ in range(2))
    with autocast(precision, CPU):
        product = left @ right
    exact = left.double() @ right.double()
    error = float((product.double() - exact).norm() / exact.norm())
    assert error < STATED[precision]
    if precision == "bf16":
        assert error > STATED["float32"], "it is computed with fewer bits indeed"


@pytest.mark.parametrize(("precision", "allowed"), [("float32", False), ("tf32", True), ("bf16", True)])
def test_tf32_is_allowed_where_it_is_asked_for(precision: Precision, allowed: bool) -> None:
    """tf32 is allowed in products and convolutions. Its effect can be tested only on a GPU."""
    set_products(precision)
    assert torch.backends.cuda.matmul.allow_tf32 is allowed
    assert torch.backends.cudnn.allow_tf32 is allowed


def test_bf16_learns_what_float32_learns_nearly() -> None:
    """After one rollout and its update, the weights are close, and stay in float32."""
    weights = {}
    for precision in ("float32", "bf16"):
        loop = task("CartPole-v1", 16, precision=precision).on_device(CPU)
        before = loop.program.learner.parameters.clone()
        loop.advance(loop.rates())
        weights[precision] = loop.program.learner.parameters
        assert weights[precision].dtype == torch.float32
        assert not torch.equal(weights[precision], before)
    difference = float((weights["float32"] - weights["bf16"]).abs().max())
    assert 0 < difference < 2e-2
