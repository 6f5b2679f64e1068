"""Actions drawn on the device from a network's outputs.

The same draws as the distributions' `sample`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from policyd_trainer.device.streams import Purpose, Streams
from policyd_trainer.distributions.bernoulli import Bernoulli
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.distributions.gaussian import DiagonalGaussian
from policyd_trainer.distributions.interface import Distribution
from policyd_trainer.distributions.multi_categorical import MultiCategorical
from policyd_trainer.distributions.state_dependent import StateDependentGaussian


def noise(distribution: Distribution, streams: Streams, steps: int) -> Tensor:
    """Draws the noise [T, K, M] that `sample` needs for a rollout."""
    if isinstance(distribution, StateDependentGaussian):
        held = distribution.hold
        fresh = streams.normals(Purpose.ACTIONS, -(-steps // held), distribution.features * distribution.size)
        return fresh.repeat_interleave(held, dim=0)[:steps] if held > 1 else fresh
    if isinstance(distribution, DiagonalGaussian):
        return streams.normals(Purpose.ACTIONS, steps, distribution.size)
    return streams.uniforms(Purpose.ACTIONS, steps, _numbers(distribution))


def sample(distribution: Distribution, outputs: Tensor, drawn: Tensor) -> Tensor:
    """Actions [M, *action_shape] from outputs [M, O] and one step's noise [K, M]."""
    if isinstance(distribution, Categorical):
        return _category(outputs, drawn[0])
    if isinstance(distribution, MultiCategorical):
        parts = outputs.split(distribution.nvec, dim=-1)
        return torch.stack([_category(part, drawn[j]) for j, part in enumerate(parts)], dim=-1)
    if isinstance(distribution, Bernoulli):
        return (outputs.sigmoid() > drawn.T).to(torch.int8)
    if isinstance(distribution, StateDependentGaussian):
        products = outputs[:, distribution.size :].reshape(-1, distribution.features, distribution.size)
        held = drawn.T.reshape(-1, distribution.features, distribution.size)
        return outputs[:, : distribution.size] + (products * held).sum(dim=1)
    assert isinstance(distribution, DiagonalGaussian), "there are no others"
    mean, std = distribution.moments(torch, outputs)
    drawn_action: Tensor = mean + std * drawn.T
    return drawn_action


def mode(distribution: Distribution, outputs: Tensor) -> Tensor:
    """The most probable actions [M, *action_shape]."""
    if isinstance(distribution, Categorical):
        return outputs.argmax(dim=-1)
    if isinstance(distribution, MultiCategorical):
        parts = outputs.split(distribution.nvec, dim=-1)
        return torch.stack([part.argmax(dim=-1) for part in parts], dim=-1)
    if isinstance(distribution, Bernoulli):
        return (outputs > 0).to(torch.int8)
    return outputs[:, : distribution.action_shape[0]]


def _numbers(distribution: Distribution) -> int:
    """How many uniform numbers one action needs."""
    count = 1
    for size in distribution.action_shape:
        count *= size
    return count


def _category(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Inverts the cumulative distribution at `uniforms` [M] -> indices [M]."""
    cumulative = logits.softmax(dim=-1).cumsum(dim=-1)  # [M, n]
    return (cumulative[:, :-1] <= uniforms[:, None] * cumulative[:, -1:]).sum(dim=-1)
