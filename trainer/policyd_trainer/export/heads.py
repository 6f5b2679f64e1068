"""The end of the graph: from the actor's outputs to the tensors that policyd.tensors names.

Each head is written twice, as nodes and in numpy; the parity certificate compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from policyd.tensors import LOGITS, MEAN, PROBS, STD
from policyd_trainer.export.network import NetworkOutputs
from policyd_trainer.export.nodes import GraphWriter
from policyd_trainer.spaces.actions import ActionCodec
from policyd_trainer.spaces.boxes import BoxCodec


class Head(Protocol):
    """The output tensors of a kind of distribution, made from the actor's outputs."""

    def nodes(self, graph: GraphWriter, outputs: NetworkOutputs) -> None:
        """Adds the nodes that make the head's tensors."""

    def numbers(self, outputs: np.ndarray) -> list[np.ndarray]:
        """The same tensors [B, ...] computed in numpy from the actor's outputs [B, O]."""


@dataclass(frozen=True)
class LogitsHead:
    """Logits and probabilities: softmax over each branch, or the logistic function of each bit."""

    nvec: tuple[int, ...]  # choices per branch; (): bits

    def nodes(self, graph: GraphWriter, outputs: NetworkOutputs) -> None:
        """Logits and probabilities, [B, O] each."""
        logits = graph.add("Identity", outputs.body, name=LOGITS)
        if not self.nvec:
            graph.add("Sigmoid", logits, name=PROBS)
        elif len(self.nvec) == 1:
            graph.add("Softmax", logits, name=PROBS, axis=-1)
        else:
            branches = [graph.add("Softmax", part, axis=-1) for part in graph.split(logits, self.nvec)]
            graph.add("Concat", *branches, name=PROBS, axis=-1)

    def numbers(self, outputs: np.ndarray) -> list[np.ndarray]:
        """Logits and probabilities, [B, O] each."""
        if not self.nvec:
            return [outputs, np.exp(-np.logaddexp(0, -outputs))]  # without overflow
        branches = np.split(outputs, np.cumsum(self.nvec)[:-1], axis=-1)
        return [outputs, np.concatenate([_softmax(branch) for branch in branches], axis=-1)]


@dataclass(frozen=True, eq=False)
class MomentsHead:
    """Mean and standard deviation of u; for clipped actions in the environment's units."""

    codec: BoxCodec

    def nodes(self, graph: GraphWriter, outputs: NetworkOutputs) -> None:
        """Adds mean and standard deviation, [B, size] each."""
        assert outputs.std is not None, "a Gaussian's network has deviations"
        mean, std = outputs.body, outputs.std
        if self._in_units:
            unit = graph.constant(self.codec.half)
            mean = graph.add("Add", graph.add("Mul", mean, unit), graph.constant(self.codec.middle))
            std = graph.add("Mul", std, unit)
        mean = graph.add("Identity", mean, name=MEAN)
        graph.add("Expand", std, graph.add("Shape", mean), name=STD)

    def numbers(self, outputs: np.ndarray) -> list[np.ndarray]:
        """Mean and standard deviation, [B, size] each."""
        mean, std = self.codec.distribution.moments(np, outputs)
        if self._in_units:
            return [self.codec.middle + self.codec.half * mean, self.codec.half * std]
        return [mean, std]

    @property
    def _in_units(self) -> bool:
        return self.codec.options.squash == "clip"


def head_for(codec: ActionCodec) -> Head:
    """The head that matches the codec's description."""
    if isinstance(codec, BoxCodec):
        return MomentsHead(codec)
    described = codec.describe_distribution()
    kind = described.WhichOneof("kind")
    if kind == "bernoulli":
        return LogitsHead(())
    if kind == "multi_categorical":
        return LogitsHead(tuple(described.multi_categorical.nvec))
    return LogitsHead((int(described.categorical.n),))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return probs
