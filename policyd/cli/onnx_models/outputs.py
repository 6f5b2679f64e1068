"""Finds out what the outputs of another program's graph mean, from names, shapes and nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnx import TensorProto

from policy_api.v1.artifact_pb2 import Distribution
from policyd.errors import InvalidArgument
from policyd.tensors import LOGITS, MEAN, PROBS, STD, VALUE, distribution_tensors

LOG_STD = "action_log_std"
MEANINGS = (LOGITS, PROBS, MEAN, STD, LOG_STD, VALUE)

_FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16}
_INTEGERS = {TensorProto.INT64, TensorProto.INT32}
# Operators that change only the shape or type of their input.
_PASSING = {"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten"}


@dataclass(frozen=True)
class Outputs:
    """The names of the graph's tensors, by their meaning."""

    logits: str | None = None
    mean: str | None = None
    std: str | None = None
    log_std: str | None = None
    value: str | None = None


class OutputFinder:
    """Finds out what the outputs of one graph mean.

    `names` is what the user has said: the name of a tensor by its meaning.
    """

    def __init__(self, graph: Any, distribution: Distribution, names: Mapping[str, str]) -> None:
        for meaning in names:
            if meaning not in MEANINGS:
                raise InvalidArgument.of("--output", got=meaning[:80], wanted=f"one of {', '.join(MEANINGS)}")
        self._producers = {output: node for node in graph.node for output in node.output}
        self._outputs = {entry.name: entry for entry in graph.output}
        self._distribution = distribution
        self._names = dict(names)
        for name in self._names.values():
            if name not in self._outputs and name not in self._producers:
                raise InvalidArgument.of("--output", got=name[:80], wanted=f"one of {self._told()}")
        self._names |= {n: n for n in self._outputs if n in MEANINGS and n not in self._names}

    def find(self) -> Outputs:
        """Returns the tensors by meaning.

        Raises InvalidArgument if no output determines the actions, or if it is not clear which one
        does.
        """
        width = next(iter(distribution_tensors(self._distribution).values()))[0]
        if self._distribution.WhichOneof("kind") == "gaussian":
            mean = self._names.get(MEAN) or self._only_of_width(width, MEAN)
            value = self._value({mean})
            return Outputs(mean=mean, std=self._names.get(STD), log_std=self._names.get(LOG_STD), value=value)
        logits = self._logits(width)
        return Outputs(logits=logits, value=self._value({logits}))

    def _logits(self, width: int) -> str:
        if LOGITS in self._names:
            return self._names[LOGITS]
        if PROBS in self._names:
            return self._before_softmax(self._names[PROBS])
        candidates = self._of_width(width)
        if len(candidates) == 1:
            return self._before_softmax(candidates[0])
        if not candidates and (chosen := self._before_argmax()) is not None:
            return self._before_softmax(chosen)
        raise InvalidArgument.of("outputs", got=self._told(), wanted=self._wanted(width, LOGITS))

    def _only_of_width(self, width: int, meaning: str) -> str:
        candidates = self._of_width(width)
        if len(candidates) != 1:
            raise InvalidArgument.of("outputs", got=self._told(), wanted=self._wanted(width, meaning))
        return candidates[0]

    def _of_width(self, width: int) -> list[str]:
        """Returns the float outputs that may have `width` numbers per row.

        If `width` is 1, returns only the first such output, because a value output comes after the
        action's.
        """
        fitting = [
            name
            for name, entry in self._outputs.items()
            if _type(entry) in _FLOATS
            and _numbers(entry) in (width, None)
            and name not in self._names.values()
        ]
        return fitting[:1] if width == 1 else fitting

    def _before_argmax(self) -> str | None:
        """Returns the input of the ArgMax that computes an integer output. None: there is none."""
        for name, entry in self._outputs.items():
            if _type(entry) in _INTEGERS:
                node = self._source(name)
                if node is not None and node.op_type == "ArgMax":
                    best_of: str = node.input[0]
                    return best_of
        return None

    def _before_softmax(self, name: str) -> str:
        """Returns the logits from which a softmax or sigmoid computed `name`; else `name` itself.

        Raises InvalidArgument if the user named the probabilities and no such node computes them.
        """
        node = self._source(name)
        if node is not None and node.op_type in ("Softmax", "Sigmoid"):
            logits: str = node.input[0]
            return logits
        if PROBS in self._names:
            wanted = "what a Softmax or Sigmoid computes; or name the logits: --output action_logits=NAME"
            raise InvalidArgument.of(PROBS, got=name[:80], wanted=wanted)
        return name

    def _source(self, name: str) -> Any:
        """Returns the node that computes a tensor. Skips nodes that change only shape or type."""
        node = self._producers.get(name)
        while node is not None and node.op_type in _PASSING:
            node = self._producers.get(node.input[0])
        return node

    def _value(self, taken: set[str]) -> str | None:
        """Returns the critic's output; None: there is none.

        It is the one that the user or its name says, or else the only output [batch, 1].
        """
        if VALUE in self._names:
            return self._names[VALUE]
        singles = [
            name
            for name, entry in self._outputs.items()
            if _type(entry) in _FLOATS and _numbers(entry) == 1 and name not in taken
        ]
        named = [name for name in singles if "value" in name.lower() or "critic" in name.lower()]
        columns = [name for name in singles if len(_row(self._outputs[name]) or ()) == 1]
        return next((found[0] for found in (named, columns) if len(found) == 1), None)

    def _wanted(self, width: int, meaning: str) -> str:
        return (
            f"one output with {width} numbers for each observation, the {meaning.replace('_', ' ')}; "
            f"if there is, name it: --output {meaning}=NAME"
        )

    def _told(self) -> str:
        return ", ".join(f"{name} {list(_row(entry) or ())}" for name, entry in self._outputs.items())[:400]


def _type(entry: Any) -> int:
    kind: int = entry.type.tensor_type.elem_type
    return kind


def _row(entry: Any) -> tuple[int, ...] | None:
    """Returns the shape without the batch. None: a dimension is not known."""
    dims = [d.dim_value if d.HasField("dim_value") else 0 for d in entry.type.tensor_type.shape.dim[1:]]
    return tuple(dims) if all(dims) else None


def _numbers(entry: Any) -> int | None:
    row = _row(entry)
    return None if row is None else math.prod(row)
