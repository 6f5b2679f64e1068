"""The end of the graph: from the actor's outputs to the tensors that policy_api.tensors names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policy_api.tensors import distribution_tensors
from trainer.spaces.actions import ActionCodec
from trainer.spaces.boxes import BoxCodec


class LogitsHead(nn.Module):
    """Logits and probabilities: softmax over each branch, or the logistic function of each bit."""

    def __init__(self, names: tuple[str, ...], nvec: tuple[int, ...]) -> None:
        super().__init__()
        self.names = names
        self.nvec = nvec  # choices of each branch; (): bits

    def forward(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """[B, O] -> logits and probabilities, [B, O] each."""
        if not self.nvec:
            return outputs, torch.sigmoid(outputs)
        if len(self.nvec) == 1:
            return outputs, torch.softmax(outputs, dim=-1)
        branches = torch.split(outputs, list(self.nvec), dim=-1)
        return outputs, torch.cat([torch.softmax(branch, dim=-1) for branch in branches], dim=-1)


class MomentsHead(nn.Module):
    """Mean and deviation of u; where it is clipped, in the environment's units."""

    def __init__(self, names: tuple[str, ...], codec: BoxCodec) -> None:
        super().__init__()
        self.names = names
        self.distribution = codec.distribution
        in_units = codec.options.squash == "clip"
        self.middle = torch.from_numpy(codec.middle if in_units else 0 * codec.middle)
        self.unit = torch.from_numpy(codec.half if in_units else 0 * codec.half + 1)

    def forward(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """[B, O] -> mean and deviation, [B, size] each."""
        mean, std = self.distribution.moments(torch, outputs)
        return self.middle + self.unit * mean, self.unit * std


def head_for(codec: ActionCodec) -> LogitsHead | MomentsHead:
    """The head that the codec's description promises."""
    described = codec.describe_distribution()
    names = tuple(distribution_tensors(described))
    if isinstance(codec, BoxCodec):
        return MomentsHead(names, codec)
    kind = described.WhichOneof("kind")
    if kind == "bernoulli":
        return LogitsHead(names, ())
    if kind == "multi_categorical":
        return LogitsHead(names, tuple(described.multi_categorical.nvec))
    return LogitsHead(names, (int(described.categorical.n),))
