"""The tensors that the protocol shows of a version, and how their elements travel."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from policyd.tensors import OBSERVATIONS
from policyd_server.heads.draws import Draws, Piece
from policyd_server.models.version import LoadedVersion

ACTION_MASK = "action_mask"
# The protocol's name for each column, where it differs from ActResponse's.
COLUMN_OF = {"value": "values"}

FP32, INT64, BOOL = "FP32", "INT64", "BOOL"
ELEMENT_BYTES = {FP32: 4, INT64: 8, BOOL: 1}


class Tensor(NamedTuple):
    """One input or output. Every shape in a request has the batch in front."""

    name: str
    datatype: str
    shape: tuple[int, ...]  # without the batch


def inputs(model: LoadedVersion) -> tuple[Tensor, ...]:
    """Returns the inputs: the observations, and the mask if the policy was trained with masks.

    Other policies also take a mask.
    """
    observations = Tensor(OBSERVATIONS, FP32, model.observation_shape)
    if model.metadata.has_action_mask and model.head.mask_width:
        return (observations, mask(model))
    return (observations,)


def mask(model: LoadedVersion) -> Tensor:
    """The input that says which actions are allowed; nonzero is true."""
    return Tensor(ACTION_MASK, BOOL, (model.head.mask_width,))


def outputs(model: LoadedVersion) -> tuple[Tensor, ...]:
    """Returns the outputs, in order."""
    known = _outputs.get(model)
    if known is None:
        known = _outputs[model] = _found_outputs(model)
    return known


# Weak references: the cache must not keep versions in memory.
_outputs: WeakKeyDictionary[LoadedVersion, tuple[Tensor, ...]] = WeakKeyDictionary()


def _found_outputs(model: LoadedVersion) -> tuple[Tensor, ...]:
    """Computes with zeros to find out the columns, which depend on the kind of action."""
    zeros = np.zeros((1, *model.observation_shape), np.float32)
    tensors, values = model.infer(zeros)
    columns = model.head.decide(tensors, Draws([Piece(seed=0, first_index=0, rows=1, deterministic=True)]))
    found = [
        Tensor(name, INT64 if column.dtype == np.int64 else FP32, column.shape[1:])
        for name, column in columns.items()
    ]
    if values is not None:
        found.append(Tensor("value", FP32, ()))
    return tuple(found)
